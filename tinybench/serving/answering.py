"""The former place of `tinybench.inference.classifier`, for models that were logged when the classifier was here.

MLflow stores the file that serves a model, and the package, with the model. A process that has imported this package
before it loads such a model runs the stored file with this package, so the names that the file imports must exist.
"""

from tinybench.inference import classifier

Answerer = classifier.ImageClassifier
