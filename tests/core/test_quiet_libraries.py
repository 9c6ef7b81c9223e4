"""Notes of libraries are held back, and nothing else is; looked at from outside the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOISE = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    "I0000 00:00:1795296.88 21422 port.cc:153] oneDNN custom operations are on. You may see slightly different\n"
    "I0000 00:00:1795276346.37   21422 cudart_stub.cc:31] Could not find cuda drivers on your machine.\n"
    "E0000 00:00:1795276357.62   21422 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error\n"
    "2026-01-01 cpu_feature_guard.cc:210] This TensorFlow binary is optimized to use available CPU instructions\n"
    "E0000 00:00:1795805911.737267 19830 util.cc:131] oneDNN supports DT_HALF only on platforms with AVX-512. Fall\n"
    "To enable the following instructions: AVX2 FMA, rebuild TensorFlow with the appropriate flags.\n"
)


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    start = (
        "import os, sys\n"
        "from tinybench.core import quiet_libraries as quiet\n"
        "filter_noise = quiet.filter_startup_noise\n"
    )
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "MLFLOW_"))}
    settings |= {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"} | environment
    return subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, env=settings)


def test_known_noise_is_gone_and_other_text_stays_in_order():
    text = "before\n" + NOISE + "W0000 a warning that matters\n" + NOISE + "schön, without an end"
    result = python(f"with filter_noise():\n    os.write(2, {text!r}.encode())")
    assert result.stderr == "before\nW0000 a warning that matters\nschön, without an end"
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize(
    "write", ["print('held', file=sys.stderr)", "os.write(2, b'held\\n')", "os.system('echo held >&2')"]
)
def test_text_from_python_c_and_children_is_shown_after_the_block(write):
    result = python(f"with filter_noise():\n    {write}\n    os.write(1, b'inside, ')\nos.write(1, b'after')")
    assert (result.stdout, result.stderr) == ("inside, after", "held\n")


def test_text_is_held_until_the_block_ends():
    result = python(
        "shown = os.dup(2)\n"
        "with filter_noise():\n"
        "    print('second', file=sys.stderr)\n"
        "    os.write(shown, b'first\\n')\n"
        "print('third', file=sys.stderr)"
    )
    assert result.stderr == "first\nsecond\nthird\n"


def test_half_a_line_stays_on_its_side_of_the_block():
    result = python(
        "sys.stderr.write('before, ')\n"
        "with filter_noise():\n"
        "    os.write(2, b'held\\n')\n"
        "    sys.stderr.write('To enable the following instructions: AVX2')"
    )
    assert result.stderr == "before, held\n"


@pytest.mark.parametrize("error", ["ValueError('broken')", "KeyboardInterrupt('broken')", "SystemExit('broken')"])
def test_an_exception_shows_what_was_held_and_goes_on(error):
    result = python(f"with filter_noise():\n    os.write(2, {NOISE + 'held'!r}.encode() + b'\\n')\n    raise {error}")
    assert result.returncode != 0
    assert result.stderr.startswith("held\n")
    assert result.stderr.endswith("broken\n")
    assert "cuInit" not in result.stderr


def test_standard_error_works_as_before_afterwards():
    result = python(f"with filter_noise():\n    pass\nos.write(2, {NOISE!r}.encode())")
    assert result.stderr == NOISE


def test_blocks_leave_no_open_files():
    count = "len(os.listdir('/dev/fd'))"
    result = python(f"before = {count}\nfor _ in range(5):\n    with filter_noise(): pass\nprint({count} - before)")
    assert result.stdout == "0\n"


def test_bytes_that_are_no_text_do_no_harm():
    result = python("with filter_noise():\n    os.write(2, b'\\xff held\\n')")
    assert result.returncode == 0
    assert " held\n" in result.stderr


SHOW = "quiet.quieten_libraries()\nprint(os.environ['TF_CPP_MIN_LOG_LEVEL'], os.environ['MLFLOW_LOGGING_LEVEL'])"


HAS_GPU = any(Path(file).exists() for file in ("/dev/nvidiactl", "/dev/dxg"))


def test_libraries_are_asked_for_warnings_alone():
    assert python(SHOW).stdout == f"{2 if HAS_GPU else 3} WARNING\n"


@pytest.mark.skipif(HAS_GPU, reason="errors of the driver of a GPU are shown")
def test_nothing_is_said_when_tensorflow_first_computes_in_float16():
    result = python(
        "quiet.quieten_libraries()\n"
        "with filter_noise():\n    import tensorflow as tf\n    tf.config.list_physical_devices()\n"
        "print(float(tf.reduce_sum(tf.cast(tf.constant([1, 2], tf.float16), tf.float32))))"
    )
    assert (result.stdout, result.stderr) == ("3.0\n", "")


def test_the_environment_of_the_user_is_respected():
    assert python(SHOW, TF_CPP_MIN_LOG_LEVEL="0").stdout == "0 WARNING\n"
    assert python(SHOW, MLFLOW_LOGGING_LEVEL="DEBUG").stdout == "2 DEBUG\n"


def test_a_closed_standard_error_is_no_reason_to_fail():
    code = "from tinybench.core import quiet_libraries as quiet\nwith quiet.filter_startup_noise(): pass\nprint('done')"
    command = [sys.executable, "-c", code]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    shell = ["sh", "-c", 'exec "$@" 2>&-', "sh", *command]
    assert subprocess.run(shell, stdout=subprocess.PIPE, text=True, env=environment).stdout == "done\n"
