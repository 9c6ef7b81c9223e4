"""The former place of `tinybench.inference.model_version`, for models that were logged when it was here.

See `tinybench.serving.answering`.
"""

from tinybench.inference import model_version

version = model_version.read_version
