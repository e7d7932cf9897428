"""One exception tree: every expected failure is a KilnlightError with one sentence to the user."""


class KilnlightError(Exception):
    """An expected failure; its message says what is wrong, where, and what to do next.

    The command line prints the message on one line and exits with code 2, without a traceback.
    """


class RegionError(KilnlightError):
    """A region or period that cannot be read, is invalid, or misses the imagery."""


class SceneError(KilnlightError):
    """An image that cannot be opened, placed on the ground, or read."""


class TableError(KilnlightError):
    """A table whose file, schema version or columns are not what its reader expects."""


class AccessError(SceneError):
    """Imagery or a catalogue on a network that cannot be had: not there, refused, or no answer."""


class UnfitSceneError(SceneError):
    """Imagery of another kind than the sites sought can be seen in; no part of a survey."""


class ConfigError(KilnlightError):
    """A setting that is unknown, missing or out of range."""


class NothingSearchedError(SceneError):
    """Imagery of which no pixel could be searched."""


class RunFolderError(KilnlightError):
    """An output folder that cannot be used for this run."""


class SurveyError(KilnlightError):
    """A survey that cannot go on."""


class WeightsError(KilnlightError):
    """Weights that are missing, damaged, or do not fit the imagery or the class."""


class DatasetError(KilnlightError):
    """Training or truth data that cannot be used."""


class ReportError(KilnlightError):
    """A file of crowd reports that cannot be read."""


class ReleaseError(KilnlightError):
    """A release of noised counts that is refused."""


class PublishError(KilnlightError):
    """Output that a tier must never hold, found before it was written."""


class ReviewError(KilnlightError):
    """People's decisions that cannot be used."""


class SimulationError(KilnlightError):
    """Settings from which no brick belt can be simulated."""
