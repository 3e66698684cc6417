"""What lives as long as the service runs, and how a request gets at it."""

from dataclasses import dataclass
from typing import Annotated, TypedDict

from fastapi import Depends, Request

from app.classify import Classifier
from app.cores import Cores, usable_cores
from app.images import ImageLimits
from app.scheduler import Scheduler
from app.settings import Settings
from app.store import Store, open_store


@dataclass(frozen=True, slots=True)
class Gateway:
    """The opened service: settings, models, threads."""

    settings: Settings
    cores: Cores
    store: Store
    scheduler: Scheduler
    classifier: Classifier

    def close(self) -> None:
        self.scheduler.close()


class State(TypedDict):
    """What the lifespan hands to every request."""

    gateway: Gateway


def open_gateway(settings: Settings) -> Gateway:
    """Load and warm the models, then start the workers.

    Raises:
        ModelFileError: a model cannot be served; the text names the file and the reason.
    """
    store = open_store(
        settings.store,
        settings.models,
        settings.default_model,
        allow_untrained=settings.allow_untrained,
    )
    cores = usable_cores()
    scheduler = Scheduler(settings.workers or cores.count)
    limits = ImageLimits(settings.max_pixels, settings.min_side_pixels)
    classifier = Classifier(store, scheduler, limits, settings.reduced_decode)
    return Gateway(settings, cores, store, scheduler, classifier)


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.state.gateway
    return gateway


Current = Annotated[Gateway, Depends(_gateway)]
