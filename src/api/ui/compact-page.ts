import type { BlocksSeen } from '#/blocks/seen-blocks.ts';
import type { GroupStatus, JobProgress } from '#/compact/group-board.ts';
import type { QueueStatus } from '#/compact/queue.ts';
import type { CompactorStatus, UnreadableBlock, WorkStatus } from '#/compact/status.ts';
import type { Params } from '#/http/params.ts';
import { blocksSection } from './blocks-section.ts';
import {
  bytesText,
  countText,
  durationText,
  elapsed,
  labelsText,
  relativeTime,
  resolutionText,
  timeText,
} from './figures.ts';
import { framed } from './frame.ts';
import { markup } from './html.ts';
import type { Html } from './html.ts';
import { table } from './table.ts';

export interface CompactPage {
  readonly status: CompactorStatus;
  readonly seen: BlocksSeen;
  readonly label: string;
  readonly links: readonly { readonly href: string; readonly text: string }[];
  readonly params: Pick<Params, 'text'>;
}

/** Bounds of the lists; what is left out is counted. */
const MAX_CARDS = 50;
const MAX_ROWS = 20;
const REFRESH_SECONDS = 30;

/** The page of a compactor: what somebody must look at first, then what is going on, then the rest. */
export function compactPage({ status, seen, label, links, params }: CompactPage): string {
  const { nowMs, startedMs } = status;
  const faulty = new Set(
    groupsOf(status).flatMap(({ group: { quarantine } }) => quarantine?.blocks ?? []),
  );
  return framed({
    title: 'Hindsight compactor',
    links,
    refreshSeconds: REFRESH_SECONDS,
    note: markup`<span class="quiet">
      ${timeText(nowMs)}, up for ${durationText(nowMs - startedMs)}
    </span>`,
    body: [
      tiles(status),
      attention(status),
      running(status),
      backlog(status),
      queues(status),
      markup`<h2>Blocks</h2>`,
      blocksSection({ seen, nowMs, label, faulty, params, withTable: false }),
    ],
  });
}

interface PlacedGroup {
  readonly queue: string;
  readonly group: GroupStatus;
}

function groupsOf({ work }: Pick<CompactorStatus, 'work'>): PlacedGroup[] {
  return work.flatMap(({ queue, groups }) => groups.map((group) => ({ queue, group })));
}

function tiles(status: CompactorStatus): Html {
  const { nowMs, work, disk } = status;
  const groups = groupsOf(status);
  const stopped = groups.filter(({ group }) => group.quarantine !== undefined).length;
  const active = groups.filter(({ group }) => group.progress !== undefined).length;
  const jobs = work.reduce((sum, { backlog: { jobs: count } }) => sum + count, 0);
  const bytes = work.reduce((sum, one) => sum + one.backlog.bytes, 0);
  const oldest = work.map((one) => one.backlog.oldestMs).filter((ms) => ms !== undefined);
  const oldestMs = oldest.length === 0 ? undefined : Math.min(...oldest);
  const { neededBytes, freeBytes } = disk;
  const tile = (text: string, under: string, isBad = false) =>
    markup`<div class="tile${isBad ? ' bad' : ''}"><b>${text}</b><span>${under}</span></div>`;
  return markup`<div class="tiles">
    ${[
      tile(String(stopped), 'in quarantine', stopped > 0),
      tile(String(active), active === 1 ? 'job running' : 'jobs running'),
      tile(countText(jobs, 'job'), `to be done, ${bytesText(bytes)}`),
      tile(timeLeft(work), 'until they are done'),
      tile(
        oldestMs === undefined ? '–' : durationText(Math.max(0, nowMs - oldestMs)),
        'age of the oldest',
      ),
      tile(
        bytesText(neededBytes),
        `needed by the largest, ${freeBytes === undefined ? 'free space unknown' : `${bytesText(freeBytes)} free`}`,
        freeBytes !== undefined && neededBytes > freeBytes,
      ),
    ]}
  </div>`;
}

/** Of queues that work side by side. */
function timeLeft(work: readonly WorkStatus[]): string {
  const times = work.map(({ timeLeftMs }) => timeLeftMs);
  const known = times.filter((ms) => ms !== undefined);
  if (known.length < times.length) return 'unknown';
  const longest = Math.max(0, ...known);
  return longest === 0 ? '–' : durationText(longest);
}

function attention(status: CompactorStatus): Html | undefined {
  const { nowMs } = status;
  const troubles = status.queues.map(({ trouble }) => trouble).filter((one) => one !== undefined);
  const groups = groupsOf(status);
  const stopped = groups.filter(({ group }) => group.quarantine !== undefined);
  const failing = groups.filter(({ group }) => group.failure !== undefined);
  const { unreadable } = status;
  if (troubles.length + stopped.length + failing.length + unreadable.length === 0) return undefined;
  return markup`<h2>To be looked at</h2>
    ${troubles.map(
      ({ kind, message, sinceMs }) =>
        markup`<div class="card">
          <h3>A queue gets nowhere<span class="badge">${kind}</span></h3>
          <p>${message}</p>
          <p class="quiet">for ${elapsed(sinceMs, nowMs)}</p>
        </div> `,
    )}${stopped.slice(0, MAX_CARDS).map((one) => quarantineCard(one, nowMs))}${more(stopped.length - MAX_CARDS, 'group in quarantine', 'groups in quarantine')}
    ${unreadable.slice(0, MAX_CARDS).map(unreadableCard)}${more(unreadable.length - MAX_CARDS, 'block that cannot be read', 'blocks that cannot be read')}
    ${failing.slice(0, MAX_CARDS).map((one) => failureCard(one, nowMs))}${more(failing.length - MAX_CARDS, 'group that fails', 'groups that fail')}`;
}

function quarantineCard({ queue, group }: PlacedGroup, nowMs: number): Html | undefined {
  const { quarantine } = group;
  if (quarantine === undefined) return undefined;
  const { kind, message, blocks, command, sinceMs } = quarantine;
  return markup`<div class="card">
    <h3>${nameOf(group)}<span class="badge">${kind}</span></h3>
    <p>${message}</p>
    <p class="quiet">
      ${queue} of this group stopped ${relativeTime(sinceMs, nowMs)}; it goes on by itself when its
      blocks or their marks change. Blocks at fault:
      ${blocks.map((id) => markup`<code>${id}</code> `)}
    </p>
    <p>If it should go on without them:</p>
    <pre>${command}</pre>
  </div> `;
}

function unreadableCard({ block, message, command }: UnreadableBlock): Html {
  return markup`<div class="card warn">
    <h3><code>${block}</code><span class="badge">cannot be read</span></h3>
    <p>${message}</p>
    <p class="quiet">
      Everything goes on without it, but for what it may belong to: merges around a hole in time, and
      deletions of blocks that it may have replaced.
    </p>
    <p>To give it up:</p>
    <pre>${command}</pre>
  </div> `;
}

function failureCard({ queue, group }: PlacedGroup, nowMs: number): Html | undefined {
  const { failure } = group;
  if (failure === undefined) return undefined;
  return markup`<div class="card warn">
    <h3>${nameOf(group)}<span class="badge">tried again</span></h3>
    <p>${failure.message}</p>
    <p class="quiet">
      ${queue} of this group has been failing for ${elapsed(failure.sinceMs, nowMs)}
    </p>
  </div> `;
}

const JOB_COLUMNS = ['Group', 'Job', 'Phase', '', { number: 'Blocks' }, { number: 'Running for' }];

function running(status: CompactorStatus): Html {
  const rows = groupsOf(status).flatMap(({ queue, group }) => {
    const { progress } = group;
    return progress === undefined ? [] : [jobRow(queue, group, progress, status.nowMs)];
  });
  if (rows.length === 0) {
    return markup`<h2>Running jobs</h2>
      <p class="quiet">None. ${nextPass(status)}</p>`;
  }
  return markup`<h2>Running jobs</h2>
    ${table(JOB_COLUMNS, rows.slice(0, MAX_CARDS))}
    ${more(rows.length - MAX_CARDS, 'job')}`;
}

function jobRow(queue: string, group: GroupStatus, progress: JobProgress, nowMs: number): Html {
  const { phase, fraction, blocks, startedMs } = progress;
  const bar =
    fraction === undefined
      ? markup`<progress></progress>`
      : markup`<progress max="1" value="${fraction.toFixed(3)}"></progress>
          ${Math.floor(fraction * 100)} %`;
  return markup`<tr>
    <td>${nameOf(group)}</td>
    <td>${queue}</td>
    <td>${phase}</td>
    <td class="tight">${bar}</td>
    <td class="num">${blocks.length}</td>
    <td class="num">${durationText(nowMs - startedMs)}</td>
  </tr> `;
}

function nextPass({ queues: all, nowMs }: CompactorStatus): Html | undefined {
  const next = all.map(({ nextMs }) => nextMs).filter((ms) => ms !== undefined);
  if (next.length === 0) return undefined;
  return markup`The next pass begins ${relativeTime(Math.min(...next), nowMs)}.`;
}

const BACKLOG_COLUMNS = [
  'Queue',
  { number: 'Jobs' },
  { number: 'Blocks' },
  { number: 'Bytes' },
  { number: 'Oldest data' },
  { number: 'Speed of a job' },
  { number: 'Time left' },
];

function backlog({ work, nowMs, retention }: CompactorStatus): Html {
  const rows = work.map(
    ({ queue, backlog: all, bytesPerSecond, timeLeftMs }) =>
      markup`<tr>
        <td>${queue}</td>
        <td class="num">${all.jobs.toLocaleString('en-US')}</td>
        <td class="num">${all.blocks.toLocaleString('en-US')}</td>
        <td class="num">${bytesText(all.bytes)}</td>
        <td class="num">
          ${all.oldestMs === undefined ? '–' : durationText(Math.max(0, nowMs - all.oldestMs))}
        </td>
        <td class="num">
          ${bytesPerSecond === undefined ? '–' : `${bytesText(bytesPerSecond)}/s`}
        </td>
        <td class="num">
          ${timeLeftMs === undefined ? 'unknown' : timeLeftMs === 0 ? '–' : durationText(timeLeftMs)}
        </td>
      </tr> `,
  );
  const expired =
    retention === undefined
      ? undefined
      : markup`<p class="quiet">
          Retention: ${countText(retention.expired, 'block')} past it, to be marked;
          ${countText(retention.held, 'block')} kept until they are downsampled.
        </p>`;
  return markup`<h2>Still to be done</h2>
    ${table(BACKLOG_COLUMNS, rows)}
    ${expired}${largestBacklogs(work, nowMs)}`;
}

const GROUP_COLUMNS = [
  'Group',
  'Queue',
  { number: 'Jobs' },
  { number: 'Blocks' },
  { number: 'Bytes' },
  { number: 'Oldest data' },
  { number: 'Disk needed' },
];

function largestBacklogs(work: readonly WorkStatus[], nowMs: number): Html | undefined {
  const groups = groupsOf({ work })
    .filter(({ group }) => group.backlog.jobs > 0)
    .sort((a, b) => b.group.backlog.bytes - a.group.backlog.bytes);
  if (groups.length === 0) return undefined;
  const rows = groups.slice(0, MAX_ROWS).map(
    ({ queue, group: { backlog: left, ...group } }) =>
      markup`<tr>
        <td>${nameOf(group)}</td>
        <td>${queue}</td>
        <td class="num">${left.jobs}</td>
        <td class="num">${left.blocks}</td>
        <td class="num">${bytesText(left.bytes)}</td>
        <td class="num">${durationText(Math.max(0, nowMs - (left.oldestMs ?? nowMs)))}</td>
        <td class="num">${bytesText(left.neededDiskBytes)}</td>
      </tr> `,
  );
  return markup`<details open>
    <summary>Groups with most of it</summary>
    ${table(GROUP_COLUMNS, rows)}
    ${more(groups.length - MAX_ROWS, 'group')}
  </details>`;
}

function queues({ queues: all, nowMs }: CompactorStatus): Html {
  return markup`<h2>Queues</h2>
    ${table(
      ['Queue', 'State', 'Last pass', 'Its result', 'Last got through', 'Next'],
      all.map((queue) => queueRow(queue, nowMs)),
    )}`;
}

function queueRow(queue: QueueStatus, nowMs: number): Html {
  const { name, runningSinceMs, lastPass, lastSuccessMs, nextMs, trouble } = queue;
  const state =
    trouble === undefined
      ? markup`<span class="good-text">${runningSinceMs === undefined ? 'waiting' : 'working'}</span>`
      : markup`<span class="bad-text">${trouble.kind}</span>`;
  const since =
    runningSinceMs === undefined ? undefined : markup` for ${durationText(nowMs - runningSinceMs)}`;
  return markup`<tr>
    <td>${name}</td>
    <td class="tight">${state}${since}</td>
    <td>${relativeTime(lastPass?.endedMs, nowMs)}</td>
    <td>${resultOf(queue)}</td>
    <td>${relativeTime(lastSuccessMs, nowMs)}</td>
    <td>
      ${nextMs === undefined ? markup`<span class="quiet">–</span>` : relativeTime(nextMs, nowMs)}
    </td>
  </tr> `;
}

function resultOf({ lastPass }: QueueStatus): Html | undefined {
  if (lastPass === undefined) return undefined;
  const { result, error } = lastPass;
  if (result === undefined) return markup`<span class="bad-text">${error}</span>`;
  const { worked, elsewhere, failures } = result;
  const parts = [
    ...(worked > 0 ? [countText(worked, 'job')] : []),
    ...(elsewhere > 0 ? [`${countText(elsewhere, 'job')} of other compactors`] : []),
    ...(failures.length > 0 ? [countText(failures.length, 'failure')] : []),
  ];
  return markup`${parts.length === 0 ? 'nothing to do' : parts.join(', ')}`;
}

function nameOf({ labels, resolutionMs }: Pick<GroupStatus, 'labels' | 'resolutionMs'>): Html {
  return markup`${labelsText(labels)} <small>${resolutionText(resolutionMs)}</small>`;
}

function more(count: number, one: string, many = `${one}s`): Html | undefined {
  return count > 0
    ? markup`<p class="quiet">and ${countText(count, one, many)} more</p>`
    : undefined;
}
