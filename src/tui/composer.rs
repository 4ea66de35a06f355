//! Adding a study: choose a shipped one or fill the form, read what it would do, submit.
//! Promises: nothing is queued before its review was shown. Must not know: how the pages are drawn.

use crate::core::study::StudySpec;
use crate::core::summary::PlanReport;
use crate::wire::Request;

use super::form::Form;
use super::msg::ComposerDefaults;

/// The pages of the composer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Shipped studies, and the form as the last entry.
    Choose,
    /// The form.
    Form,
    /// What the study would do.
    Review,
}

/// What the review page waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The plan.
    Plan,
    /// The queue.
    Submit,
}

/// The review page.
#[derive(Clone, Debug, PartialEq)]
pub struct Review {
    /// What was asked.
    pub study: Box<StudySpec>,
    /// What it would do, once known.
    pub plan: Option<Box<PlanReport>>,
    /// Why it cannot be done.
    pub error: Option<String>,
    /// What is on its way.
    pub waiting: Option<Waiting>,
    /// First row shown.
    pub scroll: usize,
    /// Where Esc goes.
    pub from: Stage,
}

/// A study in the making.
#[derive(Clone, Debug, PartialEq)]
pub struct Composer {
    /// The page.
    pub stage: Stage,
    /// Row under the cursor in the list of shipped studies.
    pub cursor: usize,
    /// The form.
    pub form: Form,
    /// The review, once there is one.
    pub review: Option<Review>,
}

impl Composer {
    /// The first page; names in `taken` are not suggested.
    #[must_use]
    pub fn new(defaults: &ComposerDefaults, taken: Vec<String>) -> Self {
        let stage = if defaults.studies.is_empty() { Stage::Form } else { Stage::Choose };
        let form = Form::new(&defaults.base, &defaults.corpora, taken);
        Self { stage, cursor: 0, form, review: None }
    }

    /// Opens the review of `study` and gives the request that fills it.
    pub fn review(&mut self, study: StudySpec) -> Request {
        let study = Box::new(study);
        let request = Request::CheckStudy { study: study.clone() };
        self.review =
            Some(Review { study, plan: None, error: None, waiting: Some(Waiting::Plan), scroll: 0, from: self.stage });
        self.stage = Stage::Review;
        request
    }

    /// The request that queues the reviewed study; `None` while there is nothing to queue.
    pub fn submit(&mut self) -> Option<Request> {
        let review = self.review.as_mut()?;
        let plan = review.plan.as_ref()?;
        if review.waiting.is_some() || plan.runs.is_empty() {
            return None;
        }
        review.waiting = Some(Waiting::Submit);
        review.error = None;
        Some(Request::SubmitStudy { study: review.study.clone(), force: false })
    }

    /// One page back; false if this was the first.
    pub fn back(&mut self, defaults: &ComposerDefaults) -> bool {
        match self.stage {
            Stage::Choose => false,
            Stage::Form if defaults.studies.is_empty() => false,
            Stage::Form => {
                self.stage = Stage::Choose;
                true
            }
            Stage::Review => {
                self.stage = self.review.as_ref().map_or(Stage::Choose, |review| review.from);
                self.review = None;
                true
            }
        }
    }

    /// Opens the form with the study of the list or the review in it.
    pub fn edit(&mut self, defaults: &ComposerDefaults) {
        let chosen = match self.stage {
            Stage::Choose => defaults.studies.get(self.cursor).map(|study| study.spec.clone()),
            Stage::Form => None,
            Stage::Review => match &self.review {
                Some(review) if review.from == Stage::Choose => Some((*review.study).clone()),
                Some(_) | None => None,
            },
        };
        if let Some(spec) = chosen {
            self.form = Form::filled(&spec, &defaults.corpora);
        }
        self.review = None;
        self.stage = Stage::Form;
    }
}
