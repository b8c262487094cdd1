#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows Doxygen a header: our plain // comments become documentation, the first one that of the file,
with the worked example of tests/sync/examples_test.cpp that has the header's name."""
import pathlib
import re
import sys

path = pathlib.Path(sys.argv[1])
examples = pathlib.Path(__file__).resolve().parent.parent / "tests" / "sync" / "examples_test.cpp"
at_head, done = True, False
for line in path.read_text().splitlines():
    comment = re.match(r"(\s*)// ?(.*)", line)
    if "SPDX-License-Identifier" in line:
        print("/// \\file")
    elif comment:
        text = comment.group(2)
        # An indented line of a comment is code.
        print(f"{comment.group(1)}/// {text.replace('<', chr(92) + '<') if not text.startswith('  ') else '  ' + text}")
    else:
        if at_head and not line.strip().startswith("//"):
            at_head = False
            if f"//! [{path.stem}]" in examples.read_text():
                print("///\n/// ### Example")
                print(f"/// \\snippet examples_test.cpp {path.stem}")
        print(line)
