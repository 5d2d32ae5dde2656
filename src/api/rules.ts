import { BadInputError } from '#/lib/errors.ts';
import type { HttpRequest, Route } from '#/http/server.ts';
import { AlertState, RulesRequest_Type } from '#/proto/rules.ts';
import type { Alert, AlertInstance, RecordingRule, Rule, RuleGroup } from '#/proto/rules.ts';
import { PartialResponseStrategy } from '#/proto/types.ts';
import { findRules } from '#/query/rules.ts';
import { callContext, labelsJson, replicaLabelsOf, strategyOf, timeJson } from './endpoint-api.ts';
import type { EndpointApi } from './endpoint-api.ts';
import { apiRoute } from './envelope.ts';
import type { ApiResult } from './envelope.ts';

/** `/api/v1/rules` and `/api/v1/alerts`: of all rulers and sidecars. */
export function rulesRoutes(api: EndpointApi): Route[] {
  return [
    apiRoute(['GET'], '/rules', 'rules', (request) => rules(api, request)),
    apiRoute(['GET'], '/alerts', 'alerts', (request) => alerts(api, request)),
  ];
}

const TYPES = new Map<string, RulesRequest_Type>([
  ['', RulesRequest_Type.ALL],
  ['all', RulesRequest_Type.ALL],
  ['alert', RulesRequest_Type.ALERT],
  ['record', RulesRequest_Type.RECORD],
]);

async function rules(api: EndpointApi, request: HttpRequest): Promise<ApiResult> {
  const { params } = request;
  const text = params.text('type');
  const type = TYPES.get(text.toLowerCase());
  if (type === undefined) throw new BadInputError(`invalid rules parameter type='${text}'`);
  const { groups, warnings } = await findRules(
    api.proxy,
    {
      type,
      partialResponseStrategy: strategyOf(api, request),
      matcherString: params.texts('match[]'),
      ruleName: params.texts('rule_name[]'),
      ruleGroup: params.texts('rule_group[]'),
      file: params.texts('file[]'),
    },
    replicaLabelsOf(api, request),
    callContext(api, request),
  );
  return { data: { groups: groups.map(groupJson) }, warnings };
}

async function alerts(api: EndpointApi, request: HttpRequest): Promise<ApiResult> {
  const { groups, warnings } = await findRules(
    api.proxy,
    {
      type: RulesRequest_Type.ALERT,
      partialResponseStrategy: strategyOf(api, request),
      matcherString: [],
      ruleName: [],
      ruleGroup: [],
      file: [],
    },
    replicaLabelsOf(api, request),
    callContext(api, request),
  );
  const active = groups
    .flatMap((group) => group.rules)
    .flatMap(({ result }) => (result?.$case === 'alert' ? result.value.alerts : []));
  return { data: { alerts: active.map(instanceJson) }, warnings };
}

function groupJson(group: RuleGroup) {
  return {
    name: group.name,
    file: group.file,
    rules: group.rules.map(ruleJson),
    interval: group.interval,
    evaluationTime: group.evaluationDurationSeconds,
    lastEvaluation: timeJson(group.lastEvaluation),
    limit: group.limit,
    partialResponseStrategy: strategyJson(group.PartialResponseStrategy),
  };
}

function ruleJson({ result }: Rule) {
  if (result === undefined) return {};
  return result.$case === 'alert' ? alertJson(result.value) : recordingJson(result.value);
}

function recordingJson(rule: RecordingRule) {
  return { ...commonJson(rule), type: 'recording' };
}

function alertJson(rule: Alert) {
  return {
    state: stateJson(rule.state),
    ...commonJson(rule),
    duration: rule.durationSeconds,
    keepFiringFor: rule.keepFiringForSeconds,
    annotations: labelsJson(rule.annotations),
    alerts: rule.alerts.map(instanceJson),
    type: 'alerting',
  };
}

function commonJson(rule: RecordingRule | Alert) {
  return {
    name: rule.name,
    query: rule.query,
    labels: labelsJson(rule.labels),
    health: rule.health,
    ...(rule.lastError === '' ? {} : { lastError: rule.lastError }),
    evaluationTime: rule.evaluationDurationSeconds,
    lastEvaluation: timeJson(rule.lastEvaluation),
  };
}

function instanceJson(alert: AlertInstance) {
  return {
    labels: labelsJson(alert.labels),
    annotations: labelsJson(alert.annotations),
    state: stateJson(alert.state),
    ...(alert.activeAt === undefined ? {} : { activeAt: timeJson(alert.activeAt) }),
    value: alert.value,
    partialResponseStrategy: strategyJson(alert.PartialResponseStrategy),
  };
}

function stateJson(state: AlertState): string {
  const name = Object.entries(AlertState).find(([, value]) => value === state)?.[0];
  return (name ?? 'unknown').toLowerCase();
}

function strategyJson(strategy: PartialResponseStrategy): string {
  return strategy === PartialResponseStrategy.WARN ? 'WARN' : 'ABORT';
}
