"""Messages of the library in the words of the command line: options for arguments."""

import re
from typing import Any

# What a message of the library calls an argument, and the option that sets it; the first that fits.
_OPTIONS = (
    (r"Columns\(condition=(['\"])(.*?)\1\)", r"--condition-key \2"),
    (r"pass columns=Columns\(context=\.\.\.\)", "give --context-key"),
    (r"Columns\(context=\.\.\.\)", "--context-key"),
    (r"Columns: guide=", "--guide-pattern "),
    (r"(?<=guide's name, )guide=", "--guide-pattern "),
    (r"`gene`", "--gene-key"),
    (r"Columns: (control|separator)\b", r"--\1"),
    (r"Columns: (condition|context|dose|gene)\b", r"--\1-key"),
    (r"what Columns says of the labels", "--condition-key, --control and --separator"),
    (r"(?<= for the )(condition|context)(?=;)", r"\1 (--\1-key)"),
    (r"(?<= for the )doses(?=;)", "doses (--dose-key)"),
    (r"(?<= for the )genes(?=; it has)", "genes (--gene-key)"),
    (r"`(control|separator)`", r"--\1"),
    (r"`guide`", "--guide-pattern"),
    (r"\b(min_genes|min_cells|min_condition_cells|variable_genes|target_sum)=", r"\1 "),
    (r"\bmin_condition_cells\b", "--min-condition-cells"),
    (r"\b(min|variable)_(genes|cells)\b", r"--\1-\2"),
    (r"\btarget_sum\b", "--target-sum"),
    (r"with `screen\.at_least\(2\)`", "with --min-condition-cells 2"),
    (r"Put the counts in X, for instance adata\.X = \S+\.(?=\s|$)",
     "Name the layer with the counts: --layer."),
    (r"missing=\"(zero|mean)\"", r"--missing \1"),
    (r"say which one it is \(score=\), or leave the threshold out",
     "say which one it is (--interaction-score), or leave --threshold out"),
    (r"\bthreshold=(?=\d)", "--threshold "),
    (r"Name them: columns=", "Name them: --interaction-columns"),
    (r"pass info= with", "give --string-info,"),
    (r"\binfo= belongs", "--string-info belongs"),
    (r"Say which ones hold the names and the vectors: names=, vectors=",
     "Save it with the names as 'names' and the vectors as 'embeddings'"),
    (r"give Priors genes=", "give --embeddings"),
    (r"give Priors (interactions|pathways)=", r"give --\1"),
    (r"give perturbations=, or genes=", "give --perturbations, or --embeddings"),
    (r"give a table of aliases", "give --aliases"),
    (r"a table of aliases may tell", "--aliases may tell", ),
    (r"a table of what can be perturbed", "--perturbations"),
    (r"\bcells=(?=\d)", "--cells "),
    (r"a larger `config\.max_tokens`", "--set max_tokens=NUMBER, a larger one"),
    (r"for instance (stage1\.buffer=\d+) \(and (stage1\.block=\d+)",
     r"for instance --set \1 (and \2"),
    (r"; see `model\.names\.\w+`|: see `model\.names\.\w+`", ""),
    (r"use scbig\.preprocess\.preprocess, or scanpy\.pp\.normalize_total and then "
     r"scanpy\.pp\.log1p", "use 'scbig prepare'"),
    (r"Use adata\.(var|obs)_names_make_unique", r"Make them unique (adata.\1_names_make_unique)"),
)  # fmt: skip


# Names and files of the user's, which may be called as arguments are.
_GIVEN = re.compile(
    r"(?<!\w)'[^']*'(?!\w)|(?<!\w)\"[^\"]*\"(?!\w)|[^\s'\"]*/[^\s'\"]*"
    r"|[\w.-]+\.(?:csv|db|gmt|gz|h5ad|json|npz|parquet|pickle|pkl|pth?|scbig|sqlite|tsv|txt|zarr)\b"
)


def spoken(message: str) -> str:
    """A message of the library, with the options of the commands where it names arguments."""
    for pattern, words in _OPTIONS:
        given = [place.span() for place in _GIVEN.finditer(message)]

        def said(found: re.Match[str], given: Any = given, words: str = words) -> str:
            kept = any(start <= found.start() < stop for start, stop in given)
            return found[0] if kept else found.expand(words)

        message = re.sub(pattern, said, message, flags=re.IGNORECASE)
    return message
