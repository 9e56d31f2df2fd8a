/** What a node of a lab has for pods: all of the machine. */
import { cpus, totalmem } from 'node:os';
import type { Amounts } from '../manifest/resources.ts';

export function allocatable(): Amounts {
  return { cpu: cpus().length, memory: totalmem() };
}
