/** Makes sure that an API server of our own has the mesh's kinds; definitions that somebody else manages stay as they are. */
import { MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import type { KubeClient } from '../../common/kube/client/client.ts';
import type { NewObject } from '../../common/kube/types.ts';
import { meshDefinitions } from './definitions.ts';

const fieldManager = 'aquifer-crds';

/** All at once: the server answers each after the disk has it, and syncs several together. */
export async function installDefinitions(client: KubeClient, log: Logger): Promise<void> {
  await Promise.all(meshDefinitions().map((definition) => install(client, definition, log)));
}

async function install(client: KubeClient, definition: NewObject, log: Logger): Promise<void> {
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
