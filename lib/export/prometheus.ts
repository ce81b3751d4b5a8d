/** The Prometheus text format, version 0.0.4. */

import type { Histogram } from "./histogram.ts";

export type Labels = Record<string, string>;

export interface Sample {
  labels?: Labels;
  value: number | bigint;
}

export const PROMETHEUS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Collects metric families; `toString()` is the page. A family without samples is left out. */
export class PrometheusText {
  #lines: string[] = [];

  counter(name: string, help: string, samples: Sample[]): void {
    this.#family(name, "counter", help, samples.map(({ labels, value }) => sampleLine(name, labels, value)));
  }

  gauge(name: string, help: string, samples: Sample[]): void {
    this.#family(name, "gauge", help, samples.map(({ labels, value }) => sampleLine(name, labels, value)));
  }

  histogram(name: string, help: string, histogram: Histogram): void {
    const bounds = [...histogram.bounds, Infinity];
    const counts = [...histogram.cumulative(), histogram.count];
    this.#family(name, "histogram", help, [
      ...bounds.map((bound, i) => sampleLine(`${name}_bucket`, { le: numberText(bound) }, counts[i])),
      sampleLine(`${name}_sum`, {}, histogram.sum),
      sampleLine(`${name}_count`, {}, histogram.count),
    ]);
  }

  toString(): string {
    return this.#lines.map((line) => `${line}\n`).join("");
  }

  #family(name: string, type: string, help: string, samples: string[]): void {
    if (samples.length === 0) return;
    const helpText = help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
    this.#lines.push(`# HELP ${name} ${helpText}`, `# TYPE ${name} ${type}`, ...samples);
  }
}

function sampleLine(name: string, labels: Labels = {}, value: number | bigint): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
  return `${name}${pairs.length > 0 ? `{${pairs.join(",")}}` : ""} ${numberText(value)}`;
}

function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function numberText(value: number | bigint): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}
