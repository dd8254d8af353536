"""What a progress bar says beside its count."""

from scbig.train import ProgressBar


def said(bar: ProgressBar) -> str:
    return bar._progress.tasks[0].fields["text"]


def test_a_bar_tells_a_rate_where_there_is_one():
    with ProgressBar("stage", 3, enabled=False) as bar:
        bar.show(1, {"loss": 0.5}, 2.0)
        assert said(bar) == "loss 0.5  2.0 steps/s"
        bar.show(2, {})
        assert said(bar) == ""
