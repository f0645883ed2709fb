"""Train a small network on the digits: torchrun runs this file once for each process."""

import gc

import torch
import torch.distributed as dist
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler

from helpers import data, models

GLOBAL_BATCH = 64

dist.init_process_group("gloo")  # wait for the others; with GPUs "nccl"
rank, ranks = dist.get_rank(), dist.get_world_size()

torch.manual_seed(0)
model = DistributedDataParallel(models.mlp())  # all begin with the weights of rank 0
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

digits = data.digits()
sampler = DistributedSampler(digits, seed=0)  # another share of the images for each rank
loader = DataLoader(digits, GLOBAL_BATCH // ranks, sampler=sampler, drop_last=True)

for epoch in range(2):
    sampler.set_epoch(epoch)  # another order in every epoch
    for images, labels in loader:
        loss = F.cross_entropy(model(images.float() / 255), labels)
        loss.backward()  # meanwhile the gradients become their mean over all ranks
        optimizer.step()  # so every rank makes the same step
        optimizer.zero_grad()

norm = torch.cat([p.detach().flatten() for p in model.parameters()]).norm()
print(f"rank {rank} of {ranks}: {len(images)} images a step,", end=" ")
print(f"my last loss {loss:.3f}, norm of the weights {norm:.4f}")
del model, optimizer, loss  # gloo may crash at the end if these still hold on to it
gc.collect()
dist.destroy_process_group()
