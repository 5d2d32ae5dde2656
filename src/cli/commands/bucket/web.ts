import { serveBlockViewer } from '#/components/tools-bucket.ts';
import { httpFlags, plannedServerFlags, webFlags } from '../../common-flags.ts';
import { flag, flagTexts } from '../../flags.ts';
import { version } from '../../version.ts';
import { httpOf, selectorOf, viewerOf } from '../shared.ts';
import { bucketToolCommand, selectorFlags, timeoutFlags, timeRangeFlags } from './bucket-tool.ts';

const flags = {
  ...httpFlags,
  ...webFlags,
  ...selectorFlags,
  ...timeRangeFlags,
  ...timeoutFlags,
  refresh: flag.duration({
    help: 'How old what is shown may be; the bucket is looked at when somebody asks.',
    default: '30m',
  }),
  label: flag.text({
    help: 'The external label that the rows of the viewer are named by; all of them when empty.',
    default: '',
  }),
};

export const bucketWebCommand = bucketToolCommand(
  {
    name: 'web',
    summary: 'Serves a page that shows the blocks of a bucket, and their API.',
    flags,
    planned: plannedServerFlags,
  },
  (values, tool) => {
    const selector = selectorOf(values);
    const routePrefix = values['web.route-prefix'] || values['web.external-prefix'];
    return serveBlockViewer(
      {
        ...viewerOf({ ...values, 'web.route-prefix': routePrefix }),
        http: httpOf(values),
        label: values.label,
        maxAgeMs: values.refresh,
        timeoutMs: values.timeout,
        minTime: values['min-time'],
        maxTime: values['max-time'],
        ...(selector === undefined ? {} : { selector }),
        status: { version, startedAtMs: tool.clock.now(), flags: flagTexts(flags, values) },
      },
      tool,
    );
  },
);
