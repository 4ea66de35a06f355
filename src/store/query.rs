//! Questions to the index: facts, curves, ranks, scores, samples, events. Every answer is a value of `core`.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use crate::core::rank::{RankAtStep, RankHistory};
use crate::core::summary::{Curve, Point, Sample};
use crate::core::task::{ScoringForm, TaskRecord};
use crate::core::{Metric, RunId, StampedEvent};

use super::error::StoreError;
use super::facts::LogFacts;
use super::open::{Store, Tree};
use super::tables::{self, Kind, Row};
use super::thin::thin;

/// Values of a sparkline.
const SPARKLINE: usize = 32;

type Rows<'a> = Box<dyn Iterator<Item = Result<Row, StoreError>> + 'a>;

/// Means and not extremes: a trend in one line of text has no room for noise.
#[expect(clippy::cast_precision_loss, reason = "stretches are far shorter than 2^52")]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The rows whose keys begin with `prefix`, in order. Not sled's `scan_prefix`: that one, asked for more than there
/// is, walks on to the end of the tree.
fn ascending<'a>(tree: &Tree, prefix: Vec<u8>) -> Rows<'a> {
    Box::new(within(tree.range(prefix.clone()..), prefix))
}

/// The same from the end.
fn descending<'a>(tree: &Tree, prefix: Vec<u8>) -> Rows<'a> {
    let mut end = prefix.clone();
    end.extend_from_slice(&[u8::MAX; 16]);
    Box::new(within(tree.range(..end).rev(), prefix))
}

fn within<K: AsRef<[u8]>, V: AsRef<[u8]>>(
    rows: impl Iterator<Item = std::io::Result<(K, V)>>,
    prefix: Vec<u8>,
) -> impl Iterator<Item = Result<Row, StoreError>> {
    rows.map(|row| row.map(|(key, value)| (key.as_ref().to_vec(), value.as_ref().to_vec())).map_err(StoreError::from))
        .take_while(move |row| row.as_ref().map_or(true, |(key, _)| key.starts_with(&prefix)))
}

fn parse<T: DeserializeOwned>(value: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(value).map_err(|error| StoreError::Row(error.to_string()))
}

impl Store {
    /// What the logs of a run say; `None` if none was read yet.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn facts(&self, run: &RunId) -> Result<Option<LogFacts>, StoreError> {
        let value = self.records()?.get(tables::prefix(Kind::Facts, run))?;
        value.map(|value| parse(&value)).transpose()
    }

    /// The facts of every run that has a log, by id.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn all_facts(&self) -> Result<Vec<(RunId, LogFacts)>, StoreError> {
        let rows = ascending(self.records()?, tables::kind_prefix(Kind::Facts).to_vec());
        rows.map(|row| {
            let (key, value) = row?;
            let run = tables::run_of(&key).ok_or_else(|| StoreError::Row("a key names no run".to_owned()))?;
            Ok((run, parse(&value)?))
        })
        .collect()
    }

    fn points(&self, kind: Kind, run: &RunId, metric: Metric) -> Result<Vec<Point>, StoreError> {
        let mut points = Vec::new();
        for row in ascending(self.records()?, tables::prefix(kind, run)) {
            let (key, value) = row?;
            points.extend(tables::decode_point(&key, &value, metric).map_err(StoreError::Row)?);
        }
        Ok(points)
    }

    /// A metric over training, thinned to `width` points if one is given. A metric is measured at validations, by probes
    /// or at steps; where several have it, the first of them is shown.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn curve(&self, run: &RunId, metric: Metric, width: Option<usize>) -> Result<Curve, StoreError> {
        let mut points = Vec::new();
        for kind in [Kind::Validation, Kind::Probe, Kind::ZeroShot, Kind::Inference, Kind::Training] {
            if points.is_empty() {
                points = self.points(kind, run, metric)?;
            }
        }
        let stored = points.len();
        let points = match width {
            Some(width) => thin(points, width),
            None => points,
        };
        Ok(Curve { run: run.clone(), metric, points, stored })
    }

    /// The training loss in at most 32 values, oldest first.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn sparkline(&self, run: &RunId) -> Result<Vec<f64>, StoreError> {
        let points = self.points(Kind::Training, run, Metric::Loss)?;
        let values: Vec<f64> = points.iter().map(|point| point.value).collect();
        Ok(values.chunks(values.len().div_ceil(SPARKLINE).max(1)).map(mean).collect())
    }

    /// The newest `limit` events that are neither steps, validations, ranks, samples nor heartbeats, newest last.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn events(&self, run: &RunId, limit: usize) -> Result<Vec<StampedEvent>, StoreError> {
        let rows = descending(self.records()?, tables::prefix(Kind::Event, run)).take(limit);
        let mut events = rows.map(|row| parse(&row?.1)).collect::<Result<Vec<StampedEvent>, StoreError>>()?;
        events.reverse();
        Ok(events)
    }

    /// The rank reports of a run, `most` of them at most: the newest, with spectra, and others at equal steps of their
    /// place, without.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn ranks(&self, run: &RunId, most: usize) -> Result<RankHistory, StoreError> {
        let rows = ascending(self.records()?, tables::prefix(Kind::Rank, run)).collect::<Result<Vec<_>, _>>()?;
        let kept = rows.len().min(most.max(1));
        // Counted back from the newest, so that it is always among them.
        let place = |back: usize| if kept < 2 { 0 } else { back * (rows.len() - 1) / (kept - 1) };
        let mut reports = Vec::with_capacity(kept);
        for back in (0..kept).rev() {
            let Some((_, value)) = rows.get(rows.len() - 1 - place(back)) else { continue };
            let at: RankAtStep = parse(value)?;
            reports.push(if back == 0 { at } else { RankAtStep { report: at.report.without_spectra(), ..at } });
        }
        Ok(RankHistory { run: run.clone(), reports })
    }

    /// The newest scores of every task that a run asked itself, then of every task that it was asked later, each by form
    /// and name; with `all`, those of every step, each in order of time.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn scores(&self, run: &RunId, all: bool) -> Result<Vec<TaskRecord>, StoreError> {
        let mut found = Vec::new();
        for kind in [Kind::Score, Kind::Later] {
            let rows = ascending(self.records()?, tables::prefix(kind, run)).collect::<Result<Vec<_>, _>>()?;
            if all {
                rows.iter().try_for_each(|(_, value)| parse(value).map(|record| found.push(record)))?;
                continue;
            }
            // Later steps replace earlier ones, and only what is left is parsed.
            let newest: BTreeMap<&[u8], &[u8]> =
                rows.iter().map(|(key, value)| (tables::score_name(key), value.as_slice())).collect();
            newest.into_values().try_for_each(|value| parse(value).map(|record| found.push(record)))?;
        }
        Ok(found)
    }

    /// The newest scores of every task, whoever asked it, by form and name: the furthest step, then the most items.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn newest_scores(&self, run: &RunId) -> Result<Vec<TaskRecord>, StoreError> {
        let mut newest: BTreeMap<(ScoringForm, String), TaskRecord> = BTreeMap::new();
        for record in self.scores(run, false)? {
            let key = (record.form, record.task.clone());
            let older =
                |known: &TaskRecord| (known.step, known.items) <= (record.step, record.items) && !known.covers(&record);
            if newest.get(&key).is_none_or(older) {
                newest.insert(key, record);
            }
        }
        Ok(newest.into_values().collect())
    }

    /// The newest `limit` samples, newest first.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn samples(&self, run: &RunId, limit: usize) -> Result<Vec<Sample>, StoreError> {
        let rows = descending(self.records()?, tables::prefix(Kind::Sample, run)).take(limit);
        rows.map(|row| parse(&row?.1)).collect()
    }

    /// Every stored row, to compare two indexes.
    ///
    /// # Errors
    /// The index cannot be read.
    pub fn dump(&self) -> Result<Vec<Row>, StoreError> {
        ascending(self.records()?, Vec::new()).collect()
    }
}
