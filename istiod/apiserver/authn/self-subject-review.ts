/** SelfSubjectReview (authentication.k8s.io/v1): a caller asks who it is. `kubectl auth whoami`. */
import { timestamp } from '../../../common/kube/timestamp.ts';
import type { PartMaker } from '../part.ts';
import { readReview } from '../rest/review.ts';
import { userInfo } from './user-info.ts';

export const selfSubjectReviews: PartMaker = ({ clock }) => ({
  endpoints: [
    {
      of: { group: 'authentication.k8s.io', resource: 'selfsubjectreviews' },
      subresource: '',
      describe: () => undefined,
      async handle(request, resource) {
        const review = await readReview(request, resource);
        const metadata = { ...review.metadata, creationTimestamp: timestamp(clock.wall()) };
        return {
          kind: 'value',
          code: 201,
          value: { ...review, metadata, status: { userInfo: userInfo(request.user) } },
        };
      },
    },
  ],
});
