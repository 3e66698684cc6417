"""The public names of the package."""

import mobilenet_gateway_client as package


def test_all_lists_every_public_name_in_order() -> None:
    imported = [name for name in vars(package) if not name.startswith("_")]
    assert package.__all__ == sorted([*imported, "__version__"])


def test_dir_shows_the_public_names_and_nothing_else() -> None:
    assert dir(package) == package.__all__
