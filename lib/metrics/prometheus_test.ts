import { assertEquals, assertThrows } from "../../tests/assert.ts";
import { Histogram } from "./histogram.ts";
import { PrometheusText } from "./prometheus.ts";

Deno.test("PrometheusText writes help, type and samples of a family together", () => {
  const text = new PrometheusText();
  text.counter("a_total", "Help.", [{ value: 1 }, { labels: { x: "1", y: "2" }, value: 2n ** 64n }]);
  text.gauge("b", "Help.", [{ value: -Infinity }, { value: 1.5e-7 }, { value: NaN }]);
  assertEquals(
    text.toString(),
    '# HELP a_total Help.\n# TYPE a_total counter\na_total 1\na_total{x="1",y="2"} 18446744073709551616\n' +
      "# HELP b Help.\n# TYPE b gauge\nb -Inf\nb 1.5e-7\nb NaN\n",
  );
});

Deno.test("PrometheusText escapes label values and help", () => {
  const text = new PrometheusText();
  text.gauge("a", "back\\slash\nline", [{ labels: { l: 'q"b\\n\n' }, value: 0 }]);
  assertEquals(text.toString(), '# HELP a back\\\\slash\\nline\n# TYPE a gauge\na{l="q\\"b\\\\n\\n"} 0\n');
});

Deno.test("PrometheusText leaves out a family without samples", () => {
  const text = new PrometheusText();
  text.counter("a_total", "Help.", []);
  assertEquals(text.toString(), "");
});

Deno.test("PrometheusText writes cumulative buckets that end at the count", () => {
  const histogram = new Histogram([0.5, 1]);
  for (const value of [0.25, 0.5, 0.75, 2]) histogram.observe(value);
  const text = new PrometheusText();
  text.histogram("h_seconds", "Help.", histogram);
  assertEquals(text.toString().split("\n").slice(2, -1), [
    'h_seconds_bucket{le="0.5"} 2',
    'h_seconds_bucket{le="1"} 3',
    'h_seconds_bucket{le="+Inf"} 4',
    "h_seconds_sum 3.5",
    "h_seconds_count 4",
  ]);
});

Deno.test("PrometheusText writes histograms of one family with their labels", () => {
  const histogram = new Histogram([1]);
  histogram.observe(2);
  const text = new PrometheusText();
  text.histograms("h_seconds", "Help.", [{ labels: { stage: "a" }, histogram }, { labels: { stage: "b" }, histogram }]);
  assertEquals(text.toString().split("\n").slice(1, 6), [
    "# TYPE h_seconds histogram",
    'h_seconds_bucket{stage="a",le="1"} 0',
    'h_seconds_bucket{stage="a",le="+Inf"} 1',
    'h_seconds_sum{stage="a"} 2',
    'h_seconds_count{stage="a"} 1',
  ]);
});

Deno.test("Histogram refuses bounds that do not ascend", () => {
  for (const bounds of [[1, 1], [2, 1], [1, Infinity], [NaN]]) assertThrows(() => new Histogram(bounds), RangeError);
});
