import type { Verb } from '../grammar.ts';
import { generateOptions, installOptions, uninstallOptions } from './options.ts';

const needsHelm = 'Needs helm 3 or later on PATH; without it the commands are printed that somebody else can run.';

export const install: Verb = {
  summary: 'install or upgrade the mesh, by its charts',
  options: installOptions,
  notes: `Charts base, istiod, cni and ztunnel, in this order, each as a Helm release: istio-base, istiod, istio-cni, ztunnel. What is there
already is upgraded. ${needsHelm}

  aquifer install -y --set istiod.meshConfig.accessLogFile=/dev/stdout --set global.hub=registry.example.com/mesh

Exit code 1: a chart was refused or did not get ready in time.`,
  load: async () => {
    const { runInstall } = await import('./run.ts');
    return { run: runInstall };
  },
};

export const uninstall: Verb = {
  summary: 'remove the mesh, or one istiod',
  options: uninstallOptions,
  notes: `--purge removes what aquifer install made, in the opposite order; definitions stay, and with them what was written. ${needsHelm}`,
  load: async () => {
    const { runUninstall } = await import('./run.ts');
    return { run: runUninstall };
  },
};

export const manifest: Verb = {
  summary: 'what an installation applies',
  verbs: {
    generate: {
      summary: 'print it as YAML',
      options: generateOptions,
      notes: `By helm template. ${needsHelm}`,
      load: async () => {
        const { runGenerate } = await import('./run.ts');
        return { run: runGenerate };
      },
    },
  },
};
