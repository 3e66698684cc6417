"""A model: its card and the onnxruntime session that runs it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from app.arrays import Float32Array, Uint8Array
from app.card.card import EMBEDDING, INPUT, PROBABILITIES, ModelCard, card_in
from app.errors import BadQuery, ModelFileError
from app.model.first_run import warm
from app.model.graph_cache import GraphCache, open_session
from app.model.providers import Providers
from app.model.runtime import providers_of, shrink_arena
from app.settings import Provider

# The graph also has `logits` and `features`, for other heads and for maps of class activations.
OFFERED = (PROBABILITIES, EMBEDDING)
State = Literal["loaded", "loading", "not_loaded"]


@dataclass(slots=True, weakref_slot=True, eq=False)
class Model:
    """A loaded file of the store.

    `wide` is a second session for a lone image, on several cores; `app.model.wide_session` opens it
    for the default model once it is `used`.
    """

    card: ModelCard
    file_bytes: int
    session: Any
    wide: Any = field(default=None, init=False)
    used: bool = field(default=False, init=False)

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def state(self) -> State:
        """Whether the session is open; that of a `LazyModel` may not be."""
        return "loaded"

    def load(self) -> None:
        """Open the session if it is not open."""

    def unload(self) -> None:
        """Close the session if `load` can open it again."""

    @property
    def providers(self) -> list[Provider]:
        """The execution providers that run it, in order."""
        return providers_of(self.session)

    @property
    def outputs(self) -> dict[str, int]:
        """Widths of the outputs that clients can ask for."""
        outputs = self.session.get_outputs()
        return {output.name: output.shape[1] for output in outputs if output.name in OFFERED}

    def run(
        self, outputs: Sequence[str], images: Uint8Array, *, wide: bool = False
    ) -> Float32Array:
        """Run uint8 RGB images [N, H, W, 3]; the outputs side by side, [N, sum of widths]."""
        session = (wide and self.wide) or self.session
        results = session.run(list(outputs), {INPUT: images})
        return results[0] if len(results) == 1 else np.concatenate(results, axis=1)

    def split(self, outputs: Sequence[str], row: Float32Array) -> tuple[Float32Array, ...]:
        """Split a row of the result of `run` into its outputs."""
        if len(outputs) == 1:
            return (row,)
        widths = self.outputs
        edges = accumulate((widths[name] for name in outputs), initial=0)
        return tuple(row[begin:end] for begin, end in pairwise(edges))  # np.split takes 60 us

    def probabilities(self, images: Uint8Array) -> Float32Array:
        """Softmax over the classes, [N, classes], of uint8 RGB images [N, H, W, 3]."""
        return self.run([PROBABILITIES], images)

    def embedding(self, images: Uint8Array) -> Float32Array:
        """The pooled features, [N, channels], of uint8 RGB images [N, H, W, 3]."""
        return self.run([EMBEDDING], images)

    @property
    def any_batch(self) -> bool:
        """Whether several images can run together; some imported graphs have a fixed batch size."""
        return not isinstance(self.session.get_inputs()[0].shape[0], int)

    def check_resolution(self, resolution: int | None) -> int:
        """The resolution to run at: the requested one, or by default the trained one.

        Raises:
            BadQuery: the model does not support it.
        """
        if resolution is None:
            return self.card.resolution
        if resolution not in self.card.resolutions:
            raise BadQuery(
                f"resolution: {self.name} supports {self.card.resolutions}, not {resolution}."
            )
        return resolution

    def release_memory(self) -> None:
        """Return the memory of earlier runs, 20 MB with two workers; the next allocates again."""
        side = self.card.resolutions.minimum
        shrink_arena(self.session, {INPUT: np.zeros((1, side, side, 3), np.uint8)})


def load_model(
    path: Path,
    *,
    memory_arena: bool = True,
    graphs: GraphCache | None = None,
    providers: Providers | None = None,
) -> Model:
    """Load and warm up an exported file; on the CPU, from its optimised graph if `graphs` has it.

    Raises:
        ModelFileError: the file cannot be read or run, or has no valid card; the text names it.
    """

    def load(names: tuple[Provider, ...]) -> Model:
        session = open_session(path, graphs, names, memory_arena=memory_arena)
        card = card_in(session.get_modelmeta().custom_metadata_map)
        warm(session, card)
        return Model(card, file_bytes, session)

    try:
        with path.open("rb") as file:  # has a better error message than onnxruntime
            file_bytes = os.fstat(file.fileno()).st_size
        return (providers or Providers()).load_with_fallback(load)
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror or error}") from error
    except ModelFileError as error:
        raise type(error)(f"{path}: {error}") from error
