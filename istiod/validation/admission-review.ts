/** AdmissionReview (admission.k8s.io/v1), from question to answer. Pure. */
import { MeshError } from '../../common/core/errors.ts';
import { isObject } from '../../common/kube/schema/validate.ts';
import { judgeWrite } from './judge.ts';

/** MeshError CONFIG where it is no AdmissionReview that can be answered. */
export function answerReview(review: unknown): object {
  if (!isObject(review) || review['apiVersion'] !== 'admission.k8s.io/v1' || review['kind'] !== 'AdmissionReview') {
    throw new MeshError('CONFIG', 'expected an AdmissionReview of admission.k8s.io/v1');
  }
  const { request } = review;
  if (!isObject(request) || typeof request['uid'] !== 'string' || request['uid'] === '') {
    throw new MeshError('CONFIG', 'the AdmissionReview has no request with a uid');
  }
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: { uid: request['uid'], ...answer(request) },
  };
}

function answer(request: Readonly<Record<string, unknown>>): object {
  const { operation } = request;
  const asks = operation === 'CREATE' || operation === 'UPDATE';
  if (!asks || (request['subResource'] ?? '') !== '') return { allowed: true };
  const { errors, warnings } = judgeWrite(request['object'], request['oldObject'] ?? undefined);
  const told = warnings.length === 0 ? {} : { warnings };
  if (errors.length === 0) return { allowed: true, ...told };
  return {
    allowed: false,
    ...told,
    status: {
      status: 'Failure',
      code: 422,
      reason: 'Invalid',
      message: errors.map(({ field, message }) => (field === '' ? message : `${field}: ${message}`)).join(', '),
      details: { causes: errors.map(({ field, message }) => ({ reason: 'FieldValueInvalid', field, message })) },
    },
  };
}
