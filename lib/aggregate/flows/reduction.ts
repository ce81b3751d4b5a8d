/** How much aggregation saves: a record for each packet against a record for each flow of each window. */

/** What one run of `measure` counted. */
export interface Measurement {
  /** Length of the run. */
  seconds: number;
  /** Packets in flows: each would have been one event. */
  rawEvents: bigint;
  /** Flows, summed over the windows. */
  summaries: bigint;
  /** Assumed size of the record that one packet would have been. */
  rawRecordBytes: number;
  /** Size of the record of one flow. */
  summaryRecordBytes: number;
  overflowPackets: bigint;
  seenPackets: bigint;
}

export interface Reduction {
  /** Events per summary; null where there were none. */
  ratio: number | null;
  rawBytesPerSecond: number;
  summaryBytesPerSecond: number;
  /** Share of the bandwidth that aggregation saved, at most 1, below 0 where it cost some; null where there was none. */
  savedRatio: number | null;
}

/** Compares the two ways of reporting. */
export function reduction(measurement: Measurement): Reduction {
  const { seconds, rawEvents, summaries, rawRecordBytes, summaryRecordBytes } = measurement;
  const perSecond = (records: bigint, recordBytes: number) => seconds > 0 ? Number(records) * recordBytes / seconds : 0;
  const rawBytesPerSecond = perSecond(rawEvents, rawRecordBytes);
  const summaryBytesPerSecond = perSecond(summaries, summaryRecordBytes);
  return {
    ratio: summaries > 0n ? Number(rawEvents) / Number(summaries) : null,
    rawBytesPerSecond,
    summaryBytesPerSecond,
    savedRatio: rawBytesPerSecond > 0 ? 1 - summaryBytesPerSecond / rawBytesPerSecond : null,
  };
}
