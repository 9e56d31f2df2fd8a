/** The validator within the API server of our own: no webhook, no way that can break. */
import type { PartMaker } from '../apiserver/part.ts';
import { invalid } from '../apiserver/status.ts';
import { judgeWrite } from './judge.ts';

export const meshValidation: PartMaker = () => ({
  admission: [
    {
      name: 'MeshValidation',
      validate({ operation, resource, subresource, object, old, name, warn }) {
        if (resource.builtIn || subresource !== '' || (operation !== 'CREATE' && operation !== 'UPDATE')) return;
        const { errors, warnings } = judgeWrite(object, old);
        for (const text of warnings) warn(text);
        if (errors.length === 0) return;
        const causes = errors.map((e) => ({ reason: 'FieldValueInvalid' as const, ...e }));
        throw invalid(resource.group, resource.kind, name, causes);
      },
    },
  ],
});
