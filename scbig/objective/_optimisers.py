"""How parameters move down a gradient: optax transformations as values."""

import abc

import optax

from scbig._value import Value, real, require, whole


class AbstractSchedule(Value):
    """How the learning rate goes, update by update."""

    @abc.abstractmethod
    def build(self, rate: float) -> optax.ScalarOrSchedule:
        """The schedule of a learning rate: a number, or a function of the number of updates."""


class Constant(AbstractSchedule):
    """The learning rate as it is."""

    def build(self, rate: float) -> optax.ScalarOrSchedule:
        return rate


class WarmupCosine(AbstractSchedule):
    """A linear rise, then half a cosine down.

    **Fields:** `warmup`, updates of the rise from zero; `updates`, in all, after which the rate
    stays; `final`, share of the rate at the end.
    """

    warmup: int = whole(100, least=0)
    updates: int = whole(2000)
    final: float = real(0.01, least=0, most=1)

    def __check_init__(self) -> None:
        require(self.warmup < self.updates, self, "warmup must be less than updates")

    def build(self, rate: float) -> optax.ScalarOrSchedule:
        return optax.warmup_cosine_decay_schedule(
            0.0, rate, self.warmup, self.updates, self.final * rate
        )


class AbstractOptimiser(Value):
    """An optimiser; the loop accumulates gradients and averages parameters around it."""

    @abc.abstractmethod
    def build(self) -> optax.GradientTransformation:
        """The optax transformation of gradients to changes of the parameters."""


class Adam(AbstractOptimiser):
    """Adam after clipping by the global norm, with decoupled weight decay if any.

    **Fields:** `learning_rate`; `clip_norm`, the largest global norm of a gradient, `None` for no
    clipping; `clip_entries`, the largest size of an entry of it, before that, `None` for any;
    `weight_decay`, share of a parameter that an update at rate 1 takes off; `schedule`.
    """

    learning_rate: float = real(1e-4, above=0)
    clip_norm: float | None = real(1.0, above=0)
    clip_entries: float | None = real(None, above=0)
    weight_decay: float = real(0.0, least=0)
    schedule: AbstractSchedule = Constant()

    def build(self) -> optax.GradientTransformation:
        rate = self.schedule.build(self.learning_rate)
        adam = (
            optax.adamw(rate, weight_decay=self.weight_decay)
            if self.weight_decay
            else optax.adam(rate)
        )
        clip = [] if self.clip_entries is None else [optax.clip(self.clip_entries)]
        clip += [] if self.clip_norm is None else [optax.clip_by_global_norm(self.clip_norm)]
        return optax.chain(*clip, adam)
