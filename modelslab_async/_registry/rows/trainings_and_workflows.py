"""Endpoints that start trainings and workflow runs. Both have status formats of their own."""

from .endpoint_group import EndpointGroup

_TRAINING = EndpointGroup(family="training", root="{base}/v3", docs="image-generation/train-model")
_WORKFLOWS = EndpointGroup(family="workflows", root="{base}/v1/workflows", docs="workflows-api")

ROWS = (
    _TRAINING.endpoint(
        "fine_tune",
        "",
        "instance_prompt class_prompt base_model_id images seed training_type max_train_steps",
        callback_params="webhook",
        page="https://stablediffusionapi.com/docs/train-model/finetune",
        note="The documentation names the old host. The client uses the current host.",
    ),
    _TRAINING.endpoint(
        "lora_fine_tune",
        "instance_prompt class_prompt images",
        "wandb_key base_model_type negative_prompt training_type lora_type max_train_steps seed",
        callback_params="webhook",
        page="lora-finetune",
    ),
    _WORKFLOWS.endpoint(
        "run",
        "workflow_id",
        "prompt negative_prompt width height",
        subpath="{workflow_id}/run",
        callback_params="",
        key_in="header",
        allows_extra=True,
        page="run-workflow",
        note="Each workflow takes further parameters of its own.",
    ),
)
