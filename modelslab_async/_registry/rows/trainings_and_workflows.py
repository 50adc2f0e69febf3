"""Trainings and workflow runs: work that is followed by other words than a generation's."""

from .row_group import Area

_TRAINING = Area(family="training", root="{base}/v3", docs="image-generation/train-model")
_WORKFLOWS = Area(family="workflows", root="{base}/v1/workflows", docs="workflows-api")

ROWS = (
    _TRAINING.row(
        "lora_fine_tune",
        "instance_prompt class_prompt images",
        "wandb_key base_model_type negative_prompt training_type lora_type max_train_steps seed",
        told="webhook",
        page="lora-finetune",
    ),
    _WORKFLOWS.row(
        "run",
        "workflow_id",
        "prompt negative_prompt width height",
        at="{workflow_id}/run",
        told="",
        key_in="header",
        any_names=True,
        page="run-workflow",
        note="What else it takes depends on the workflow.",
    ),
)
