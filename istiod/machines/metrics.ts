/** How machines join and leave, under Istio's names. */
import { Counter, type Registry } from 'prom-client';

export interface MachineMetrics {
  readonly joined: Counter;
  /** A machine whose entry was there came again, or was renewed. */
  readonly renewed: Counter;
  readonly left: Counter;
  readonly deleted: Counter;
  readonly failed: Counter;
}

export function createMachineMetrics(registry: Registry): MachineMetrics {
  const counter = (name: string, help: string) =>
    new Counter({ name: `auto_registration_${name}_total`, help, registers: [registry] });
  return {
    joined: counter('success', 'Machines for which a WorkloadEntry was made.'),
    renewed: counter('updates', 'WorkloadEntries of machines that were taken over or said to be in use again.'),
    left: counter('unregister', 'Machines whose last connection ended.'),
    deleted: counter('deletes', 'WorkloadEntries of machines that were deleted after they had left.'),
    failed: counter('errors', 'Machines that were refused, and writes for machines that failed.'),
  };
}
