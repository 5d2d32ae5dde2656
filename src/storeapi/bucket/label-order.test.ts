import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Labels, compareLabels } from '#/model/labels.ts';
import { labelCompleter } from '../external-labels.ts';
import { LabelOrder } from './label-order.ts';

const nameOf = (names: readonly string[]) => fc.constantFrom(...names);
const labelsOf = (names: readonly string[]) =>
  fc
    .dictionary(nameOf(names), fc.constantFrom('1', '2'), { maxKeys: 4 })
    .map((object) => Labels.fromObject(object));

test('completed labels come in order, whichever names the external ones have', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(labelsOf(['b', 'd', 'f', 'h']), { selector: ({ key }) => key }),
      labelsOf(['a', 'c', 'e', 'g', 'i']),
      (series, external) => {
        const complete = labelCompleter(external, []);
        const order = new LabelOrder<{ readonly labels: Labels }>();
        const out = series
          .toSorted(compareLabels)
          .flatMap(({ flat }) => order.push({ labels: complete(flat) }));
        out.push(...order.rest());
        assert.deepEqual(
          out.map(({ labels }) => labels.key),
          series
            .map(({ flat }) => complete(flat))
            .sort(compareLabels)
            .map(({ key }) => key),
        );
      },
    ),
    { numRuns: 3000 },
  );
});
