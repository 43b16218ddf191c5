"""Settings: typed sections, config files and flags, help and schema."""

from tunesmith.config.adapter import AdapterConfig
from tunesmith.config.data import DataConfig
from tunesmith.config.export import ExportConfig
from tunesmith.config.generation import GenerationConfig
from tunesmith.config.job import Job
from tunesmith.config.model import ModelConfig
from tunesmith.config.objective import ObjectiveConfig
from tunesmith.config.optimizer import OptimizerConfig
from tunesmith.config.run import RunConfig
from tunesmith.config.training import TrainingConfig

__all__ = [
    "AdapterConfig",
    "DataConfig",
    "ExportConfig",
    "GenerationConfig",
    "Job",
    "ModelConfig",
    "ObjectiveConfig",
    "OptimizerConfig",
    "RunConfig",
    "TrainingConfig",
]
