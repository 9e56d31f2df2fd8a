import { fileURLToPath } from 'node:url';

/** Folder of the charts that come with this program. */
export const ownCharts = fileURLToPath(new URL('../../charts', import.meta.url));
