#!/usr/bin/env bash
# A search on the nodes of one SLURM job. The driver runs on the first node; a job that is requeued goes on.
#
#   sbatch examples/ray/slurm.sh /shared/table.csv /shared/runs/table
#
# AUTOMETA_VENV names a virtual environment that all nodes see, with autometa[ray,xgboost] in it.
#SBATCH --job-name=autometa
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=1
#SBATCH --mem=32G
#SBATCH --time=01:30:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=autometa-%j.log
set -euo pipefail

table=${1:?the table: sbatch slurm.sh TABLE RUN}
run=${2:?the run folder, on a disk that the first node of every attempt sees: sbatch slurm.sh TABLE RUN}
# shellcheck source=/dev/null
. "${AUTOMETA_VENV:?the virtual environment that all nodes see}/bin/activate"

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
read -r -a addresses < <(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address)
ip=${addresses[0]}
for one in "${addresses[@]}"; do
  if [[ $one != *:* ]]; then ip=$one && break; fi # of both kinds, the older one: Ray takes it without brackets
done
port=$((20000 + SLURM_JOB_ID % 10000)) # jobs that share a node do not meet
address=$ip:$port

# Whoever reaches a port of Ray may run code: only the processes of this job know the token.
export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN

# Ray on all nodes, with what the job was given of each: left to itself it would take the whole machine. SLURM ends it
# when this script ends.
ray_start=(ray start --num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus="${SLURM_GPUS_ON_NODE:-0}" --disable-usage-stats
  --block)
srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" "${ray_start[@]}" --head --node-ip-address="$ip" --port="$port" \
  --temp-dir="/tmp/ray-$SLURM_JOB_ID" --include-dashboard=false &
for _ in $(seq 60); do
  if ray status --address="$address" >/dev/null 2>&1; then break; fi
  sleep 2
done
if ((${#nodes[@]} > 1)); then
  srun --overlap --nodes=$((${#nodes[@]} - 1)) --ntasks=$((${#nodes[@]} - 1)) --exclude="$head" \
    "${ray_start[@]}" --address="$address" &
fi

if [[ -e $run/run.json ]]; then
  autometa resume "$run"
else
  autometa search "$table" --ray "$address" --gpus-per-trial 0.25 --cpus-per-trial 2 --max-concurrent 16 \
    --time 1h --out "$run"
fi
