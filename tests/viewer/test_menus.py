"""Where napari shows the widgets."""

from npe2 import PluginManifest


def test_each_widget_has_a_command_and_is_in_one_menu():
    contributed = PluginManifest.from_distribution("napari-convgen").contributions
    names = [
        "Denoise",
        "Reconstruct",
        "Compare methods",
        "Kernel explorer",
        "Image against noise",
        "Why it works",
    ]
    assert [widget.display_name for widget in contributed.widgets] == names
    commands = [
        f"napari-convgen.{name}"
        for name in ("denoise", "reconstruct", "compare", "kernels", "image_against_noise", "why_it_works")
    ]
    assert [widget.command for widget in contributed.widgets] == commands
    in_menus = [item.command for menu in ("filter", "measure") for item in contributed.menus[f"napari/layers/{menu}"]]
    assert in_menus == commands
