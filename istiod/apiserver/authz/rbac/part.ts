/** Authorization by roles, as a part of the API server. */
import { Feeds } from '../../controllers/runtime/feed.ts';
import type { PartMaker } from '../../part.ts';
import { accessReviews } from '../reviews.ts';
import { aggregateRoles } from './aggregation.ts';
import { rbacAuthorizer } from './authorizer.ts';
import { writeBootstrapObjects } from './bootstrap.ts';
import { escalationCheck } from './escalation.ts';
import { Policy } from './policy.ts';

export const rbacPart: PartMaker = ({ rest, source, clock, log, authorizer }) => {
  const feeds = new Feeds(rest.store);
  const policy = new Policy(feeds);
  return {
    authorizers: [rbacAuthorizer(policy)],
    admission: [escalationCheck(policy, authorizer)],
    endpoints: accessReviews(authorizer, policy),
    async start(signal) {
      signal.addEventListener('abort', () => feeds.close(), { once: true });
      await writeBootstrapObjects(source);
      await aggregateRoles({ policy, feeds, source, clock, log: log('rbac') }, signal);
    },
  };
};
