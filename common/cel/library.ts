/** All functions that expressions may call. */
import { Library } from './functions.ts';
import { kubernetesOverloads } from './kubernetes.ts';
import { standardOverloads } from './standard.ts';

export const library = new Library([...standardOverloads, ...kubernetesOverloads]);
