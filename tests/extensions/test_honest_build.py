"""What failed once fails again until it is mended."""


def test_a_warning_is_not_forgotten(tiny):
    tiny.configure("myst_parser", "honest_build", source_suffix=[".md"])
    tiny.write("index.md", "# Title\n\n{ref}`nowhere`\n")
    assert [tiny.build().code for _ in range(2)] == [1, 1]
    tiny.write("index.md", "# Title\n\nText.\n")
    assert tiny.build().code == 0
    assert "0 added, 0 changed" in tiny.build().log


def test_a_killed_build_leaves_nothing_to_trust(tiny):
    tiny.configure("myst_parser", "honest_build", source_suffix=[".md"])
    tiny.write("index.md", "# Title\n\nText.\n")
    assert tiny.build().code == 0
    kill = (
        "import os\ndef setup(app):\n    app.connect('write-started',"
        " lambda *_: os.kill(os.getpid(), 9))\n"
    )
    conf = (tiny.source / "conf.py").read_text()
    tiny.write("conf.py", conf + kill)
    tiny.write("index.md", "# Title\n\nMore.\n")
    assert tiny.build().code == -9
    tiny.write("conf.py", conf)
    result = tiny.build()
    assert result.code == 0
    assert "More." in result.html()
