/** Which clusters are read, under Istio's names. */
import { Gauge, type Registry } from 'prom-client';
import type { ClusterStatus } from './clusters.ts';

export function registerClusters(registry: Registry, statuses: () => readonly ClusterStatus[]): void {
  new Gauge({
    name: 'istiod_managed_clusters',
    help: 'Clusters that are read.',
    labelNames: ['cluster_type'],
    registers: [registry],
    collect() {
      this.set({ cluster_type: 'local' }, 1);
      this.set({ cluster_type: 'remote' }, statuses().length);
    },
  });
  new Gauge({
    name: 'istiod_remote_cluster_sync_status',
    help: '1 for the state in which another cluster is: synced, syncing or error.',
    labelNames: ['cluster', 'status'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { id, syncStatus } of statuses()) this.set({ cluster: id, status: syncStatus }, 1);
    },
  });
}
