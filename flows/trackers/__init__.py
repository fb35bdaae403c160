"""Runs in the trackers of others: TensorBoard, Weights & Biases, trackio, MLflow.

tracker     what a tracker is        tensorboard, wandb, trackio, mlflow   a tracker each
content/    what they are sent       send    what is missing is sent        notes   what was sent, beside the run
beside      that, in processes beside a run that is made                    load    a tracker's class, and its library
"""
