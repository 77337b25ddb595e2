"""pythae's trainer on the same network: its model, its data loader, its loop over an epoch.

It has no binarisation in training, so its `run` trains on the gray pixels, which is less work than the others do.
"""

import contextlib
import io
import logging
import tempfile

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig

from benchmarks import torch_peers
from benchmarks.trainer import LEARNING_RATE, Problem, Trainer, flat


class _Encoder(BaseEncoder):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        mean, log_variance = self.network(x).chunk(2, dim=1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class _Decoder(BaseDecoder):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, z):
        return ModelOutput(reconstruction=torch.sigmoid(self.network(z)))


def build(problem: Problem) -> Trainer:
    """One call of the trainer's own `train_step` is an epoch; a run takes as many of its images as it has steps for."""
    torch_peers.use_all_cores()
    preset = problem.preset
    start = torch_peers.VAE(preset)
    torch_peers.load_dense(start, problem.weights or {})
    pixels = torch.tensor(flat(problem.images).astype(np.float32) / np.float32(255.0))
    config = VAEConfig(input_dim=(pixels.shape[1],), latent_dim=preset.arguments["latent_dim"], reconstruction_loss="bce")
    model = VAE(config, _Encoder(start.encoder), _Decoder(start.decoder))
    folder = tempfile.TemporaryDirectory(prefix="pythae-")
    with _quietly():
        trainer = _trainer(model, pixels[: preset.batch_size], preset.batch_size, folder.name)
    trainer.folder = folder  # it is removed with the trainer

    def run(steps: int) -> None:
        while steps > 0:
            images = pixels[: steps * preset.batch_size]
            trainer.train_loader = trainer.get_train_dataloader(_dataset(images))
            with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
                trainer.train_step(epoch=1)
            steps -= len(trainer.train_loader)

    def step(x, noise) -> float:
        model._sample_gauss = lambda mean, std: (mean + std * torch.tensor(noise), torch.tensor(noise))
        try:
            output = model({"data": torch.tensor(x)})
        finally:
            del model._sample_gauss
        trainer._optimizers_step(output)
        return output.loss.item()

    return Trainer(run, step, lambda: torch_peers.dense_of(start))


def _dataset(pixels: torch.Tensor) -> BaseDataset:
    return BaseDataset(pixels, torch.zeros(len(pixels)))


@contextlib.contextmanager
def _quietly():
    """Without what its loggers say, each of which has a handler of its own."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _trainer(model: VAE, pixels: torch.Tensor, batch_size: int, folder: str) -> BaseTrainer:
    """A trainer ready to train."""
    config = BaseTrainerConfig(
        output_dir=folder,
        per_device_train_batch_size=batch_size,
        learning_rate=LEARNING_RATE,
        optimizer_cls="Adam",
        num_epochs=1,
        no_cuda=not torch.cuda.is_available(),
    )
    trainer = BaseTrainer(model=model, train_dataset=_dataset(pixels), training_config=config)
    trainer.prepare_training()
    trainer.model.train()
    return trainer
