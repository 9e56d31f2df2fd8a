/** What a node of a lab has for pods: all of the machine. */
import { availableParallelism, totalmem } from 'node:os';
import type { Amounts } from '../manifest/resources.ts';

export function allocatable(): Amounts {
  return { cpu: availableParallelism(), memory: totalmem() };
}
