"""Print one of the README's commands: the shell block below the heading that names it."""

import re
import sys
from pathlib import Path

HEADINGS = {"run": "Try it", "tests": "Run the tests"}

readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
section = readme.split(f"## {HEADINGS[sys.argv[1]]}\n", 1)[1]
block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
if block is None:
    sys.exit(f"no shell block under “{HEADINGS[sys.argv[1]]}”")
sys.stdout.write(block[1])
