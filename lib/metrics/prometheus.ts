/** The Prometheus text format, version 0.0.4. */

export type Labels = Record<string, string>;

export interface Sample {
  labels?: Labels;
  value: number | bigint;
}

/** The counts of a histogram. */
export interface HistogramCounts {
  /** Upper bounds, ascending; the bucket above the last is implied. */
  readonly bounds: readonly number[];
  readonly count: number;
  readonly sum: number;
  /** For each bound, the number of observations that are not larger. */
  cumulative(): number[];
}

export interface HistogramSample {
  labels?: Labels;
  histogram: HistogramCounts;
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

  histogram(name: string, help: string, histogram: HistogramCounts): void {
    this.histograms(name, help, [{ histogram }]);
  }

  histograms(name: string, help: string, samples: HistogramSample[]): void {
    const lines = samples.flatMap(({ labels = {}, histogram }) => {
      const bounds = [...histogram.bounds, Infinity];
      const counts = [...histogram.cumulative(), histogram.count];
      return [
        ...bounds.map((bound, i) => sampleLine(`${name}_bucket`, { ...labels, le: numberText(bound) }, counts[i])),
        sampleLine(`${name}_sum`, labels, histogram.sum),
        sampleLine(`${name}_count`, labels, histogram.count),
      ];
    });
    this.#family(name, "histogram", help, lines);
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
