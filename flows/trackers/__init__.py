"""Runs in the trackers of others: TensorBoard, Weights & Biases, trackio, MLflow.

chapters    what a run has to tell, part by part     numbers, completions   what stands in these, from the run's tables
tracker     what a tracker is                        tensorboard, wandb, trackio, mlflow   a tracker each
notes       what one was sent, beside the run        send                   what is missing is sent
beside      that, in processes beside a run          installed              which of them are there
"""
