/** Verbs whose code is one file. */
import type { Verb } from './grammar.ts';
import { caOptions, crdsOptions, labOptions, validateOptions, waitOptions } from './options.ts';

export const validate: Verb = {
  summary: 'check files of Kubernetes YAML or JSON, field by field',
  aliases: ['v'],
  operands: '[-f] FILE|DIRECTORY|-...',
  offers: 'file',
  options: validateOptions,
  notes: `Checks objects of Istio, the Gateway API and Kubernetes as the API server and the mesh's webhook do, each by itself.
Kinds of others are left out. aquifer analyze finds what only shows between objects.

Exit code 0: all objects are valid, there may be warnings. 1: some are not. 64: the arguments are not understood.`,
  load: () => import('./validate.ts'),
};

export const crds: Verb = {
  summary: "print the mesh's CustomResourceDefinitions",
  operands: '[NAME...]',
  options: crdsOptions,
  notes: `Those of Istio and of the Gateway API (channel experimental), each with its schema, rules and columns, or those that are
named: virtualservices.networking.istio.io, or a group for all of it. Of the webhook istiod fills in its root, and nothing else
of it ever changes by itself.

  aquifer crds | kubectl apply --server-side -f -`,
  load: () => import('./crds.ts'),
};

export const ca: Verb = {
  summary: "replace the root of the mesh's certificates, where istiod made it itself",
  operands: 'status|rotate|abort',
  offers: ['status', 'rotate', 'abort'],
  options: caOptions,
  notes: `status   how far a replacement is, and what it waits for
rotate   begin one: the new root is trusted beside the old one, signs once every proxy trusts it, and the old one goes once
         nothing that it signed is in use; that takes longer than certificates live
abort    take it back, as long as the new root does not sign`,
  load: () => import('./ca.ts'),
};

export const wait: Verb = {
  summary: 'wait until proxies have confirmed an object, or for another condition',
  operands: '--for=programmed KIND/NAME...',
  options: waitOptions,
  notes: 'programmed: all proxies that are connected and that it concerns have confirmed it.',
  load: () => import('./wait.ts'),
};

export const lab: Verb = {
  summary: 'a cluster of network namespaces on this machine',
  options: labOptions,
  offers: ['up', 'down', 'status', 'apply', 'delete', 'exec', 'roll', 'logs'],
  load: () => import('./lab-command.ts'),
};
