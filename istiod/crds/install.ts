/** Makes sure that an API server of our own has the mesh's kinds; definitions that somebody else manages stay as they are. */
import { MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import type { KubeClient } from '../../common/kube/client/client.ts';
import { meshDefinitions } from './definitions.ts';

const fieldManager = 'aquifer-crds';

export async function installDefinitions(client: KubeClient, log: Logger): Promise<void> {
  for (const definition of meshDefinitions()) {
    try {
      await client.apply(definition, { fieldManager, force: false });
    } catch (e) {
      if (!(e instanceof MeshError) || e.code !== 'CONFLICT') throw e;
      log.warn('a CustomResourceDefinition is managed by somebody else and stays as it is', {
        name: definition.metadata.name,
        reason: e.message,
      });
    }
  }
}
