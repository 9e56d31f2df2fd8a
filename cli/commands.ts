/** The one tree of commands. A command's code is loaded when it runs. */
import { verb as bugReport } from './bug-report/verb.ts';
import { verb as check } from './check/verb.ts';
import { verb as completion } from './completion/verb.ts';
import { verb as dashboard } from './dashboard/verb.ts';
import { verb as experimental } from './experimental/verb.ts';
import type { Verb } from './grammar.ts';
import { install, manifest, uninstall } from './install/verb.ts';
import { verb as migrate } from './migrate/verb.ts';
import { createRemoteSecret, remoteClusters } from './multicluster/verb.ts';
import {
  analyzeOptions,
  caOptions,
  crdsOptions,
  labOptions,
  validateOptions,
  waitOptions,
  waypointOptions,
  whyOptions,
} from './options.ts';
import { verb as proxyConfig } from './proxy-config/verb.ts';
import { verb as proxyStatus } from './proxy-status/verb.ts';
import { verb as tag } from './tag/verb.ts';
import { verb as tap } from './tap/verb.ts';
import { verb as version } from './version/verb.ts';
import { verb as ztunnelConfig } from './ztunnel-config/verb.ts';

export const root: Verb = {
  summary: 'a service mesh without sidecars',
  verbs: {
    analyze: {
      summary: 'find mistakes between objects, of files and of a cluster',
      options: analyzeOptions,
      offers: 'file',
      load: () => import('./analyze/command.ts'),
    },
    'bug-report': bugReport,
    ca: {
      summary: "replace the root of the mesh's certificates",
      options: caOptions,
      offers: ['status', 'rotate', 'abort'],
      load: () => import('./ca.ts'),
    },
    check,
    completion,
    crds: {
      summary: "print the mesh's CustomResourceDefinitions",
      options: crdsOptions,
      load: () => import('./crds.ts'),
    },
    'create-remote-secret': createRemoteSecret,
    dashboard,
    experimental,
    install,
    lab: {
      summary: 'a cluster of network namespaces on this machine',
      options: labOptions,
      offers: ['up', 'down', 'status', 'apply', 'delete', 'exec', 'roll', 'logs'],
      load: () => import('./lab-command.ts'),
    },
    manifest,
    migrate,
    'proxy-config': proxyConfig,
    'proxy-status': proxyStatus,
    'remote-clusters': remoteClusters,
    tag,
    tap,
    uninstall,
    validate: {
      summary: 'check files of Kubernetes YAML, field by field',
      aliases: ['v'],
      options: validateOptions,
      offers: 'file',
      load: () => import('./validate.ts'),
    },
    version,
    wait: {
      summary: 'wait until node proxies have confirmed an object',
      options: waitOptions,
      load: () => import('./wait.ts'),
    },
    waypoint: {
      summary: 'make, list and remove waypoints',
      options: waypointOptions,
      offers: ['apply', 'generate', 'list', 'status', 'delete'],
      load: () => import('./waypoint/command.ts'),
    },
    why: {
      summary: 'tell whether a connection would be, and who decides it',
      options: whyOptions,
      offers: 'pod',
      load: () => import('./why/command.ts'),
    },
    'ztunnel-config': ztunnelConfig,
  },
};
