//! Scores of generated answers by the words that they share with right ones: exact match, F1, ROUGE-2 and BLEU.
//! Promises: the numbers of the field's reference packages, up to rounding. Must not know: tasks, prompts, models.

use std::collections::HashMap;

use super::stemmer::stem;

/// `text` as `SQuAD` v1.1 compares it: in lower case, without ASCII punctuation, without the words a, an and the, with
/// single blanks (Rajpurkar et al. 2016, arXiv 1606.05250; `normalize_answer` of `evaluate-v1.1.py`).
///
/// The script's word characters lack some combining marks and circled letters that are alphabetic in Unicode; this
/// matters only to an article that touches one.
#[must_use]
pub(super) fn normalized_answer(text: &str) -> String {
    let bare: String = text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
    let mut out = String::with_capacity(bare.len());
    for piece in bare.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let after_word = piece.trim_start_matches(char::is_alphanumeric);
        match piece.strip_suffix(after_word) {
            // The blank keeps the signs around an article apart.
            Some("a" | "an" | "the") => out.extend([" ", after_word]),
            _ => out.push_str(piece),
        }
    }
    words(&out).join(" ")
}

/// 1 where `prediction` equals one of `golds` as [`normalized_answer`] has them, else 0, also without golds
/// (`exact_match_score` of `SQuAD`'s `evaluate-v1.1.py`, its best over the golds).
#[must_use]
pub(super) fn squad_exact_match(prediction: &str, golds: &[String]) -> f64 {
    let prediction = normalized_answer(prediction);
    f64::from(u8::from(golds.iter().any(|gold| normalized_answer(gold) == prediction)))
}

/// F1 of the bags of words of `prediction` and a gold as [`normalized_answer`] has them: the best over `golds`, 0
/// without any (`f1_score` of `SQuAD`'s `evaluate-v1.1.py`). As there, two empty answers share nothing and score 0.
#[must_use]
pub(super) fn token_f1(prediction: &str, golds: &[String]) -> f64 {
    let tokens = |text: &str| words(&normalized_answer(text));
    let prediction = tokens(prediction);
    golds.iter().map(|gold| f_measure(&prediction, &tokens(gold), 1)).fold(0.0, f64::max)
}

/// ROUGE-2 F-measure in 0..=1 (Lin 2004, "ROUGE: a package for automatic evaluation of summaries"; `RougeScorer` of
/// `rouge_score` 0.1.2 with `use_stemmer=True`).
#[must_use]
pub(super) fn rouge2(prediction: &str, reference: &str) -> f64 {
    f_measure(&stems(prediction), &stems(reference), 2)
}

/// Longest n-grams of BLEU.
const ORDERS: usize = 4;

/// What corpus BLEU is computed from: counts that add up over sentences (Papineni et al. 2002, "BLEU: a method for
/// automatic evaluation of machine translation"; the defaults of `corpus_bleu` of `sacrebleu` 2.6.0).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BleuStatistics {
    /// N-grams of the predictions that a reference has, of 1 to 4 tokens. Each counts at most as often as the reference
    /// with most of them has it.
    pub matches: [u64; ORDERS],
    /// All n-grams of the predictions, of 1 to 4 tokens.
    pub totals: [u64; ORDERS],
    /// Tokens of the predictions.
    pub prediction_length: u64,
    /// Tokens of the references: of each sentence's that is closest in length to the prediction, of two the shorter.
    pub reference_length: u64,
}

impl BleuStatistics {
    /// The statistics of one sentence. Without references nothing matches and the reference length is 0; `sacrebleu`
    /// refuses that.
    #[must_use]
    pub(super) fn of(prediction: &str, references: &[String]) -> Self {
        let prediction = tokens_13a(prediction);
        let references: Vec<_> = references.iter().map(|reference| tokens_13a(reference)).collect();
        let prediction_length = count(&prediction, 1);
        let lengths = references.iter().map(|reference| count(reference, 1));
        let closest = lengths.min_by_key(|length| (length.abs_diff(prediction_length), *length));
        let reference_length = closest.unwrap_or_default();
        let mut statistics = Self { prediction_length, reference_length, ..Self::default() };
        let orders = statistics.matches.iter_mut().zip(&mut statistics.totals);
        for (order, (matches, total)) in (1..).zip(orders) {
            *matches = shared(&prediction, &references, order);
            *total = count(&prediction, order);
        }
        statistics
    }

    /// Adds the statistics of further sentences.
    pub(super) fn add(&mut self, other: &Self) {
        let matches = self.matches.iter_mut().zip(other.matches);
        for (own, other) in matches.chain(self.totals.iter_mut().zip(other.totals)) {
            *own += other;
        }
        self.prediction_length += other.prediction_length;
        self.reference_length += other.reference_length;
    }

    /// BLEU in 0..=100. An order without matches counts as half a match, the next such order as a quarter, and so on; 0
    /// without any match, or where no prediction has four tokens.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a constant")]
    pub(super) fn score(&self) -> f64 {
        if self.matches == [0; ORDERS] || self.totals.contains(&0) {
            return 0.0;
        }
        let mut smoothed = 1.0;
        let mut precision = |(matches, total): (&u64, &u64)| {
            if *matches > 0 {
                return 100.0 * ratio(*matches, *total);
            }
            smoothed /= 2.0;
            100.0 * smoothed * ratio(1, *total)
        };
        let logarithms: f64 = self.matches.iter().zip(&self.totals).map(|pair| precision(pair).ln()).sum();
        let longer = ratio(self.reference_length, self.prediction_length);
        let brevity_penalty = (1.0 - longer).min(0.0).exp();
        brevity_penalty * (logarithms / ORDERS as f64).exp()
    }
}

/// What Python's `str.split` takes for white space.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Python's `text.split()`.
fn words(text: &str) -> Vec<String> {
    text.split(is_space).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The tokens of `rouge_score`: runs of ASCII letters and digits in lower case, stemmed if longer than 3.
fn stems(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let runs = lower.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit())).filter(|run| !run.is_empty());
    runs.map(|run| if run.len() > 3 { stem(run) } else { run.to_owned() }).collect()
}

/// The tokens of `mteval-v13a.pl`, as `sacrebleu` cuts them.
fn tokens_13a(text: &str) -> Vec<String> {
    const REPLACED: [(&str, &str); 7] = [
        ("<skipped>", ""),
        ("-\n", ""),
        ("\n", " "),
        ("&quot;", "\""),
        ("&amp;", "&"), // before the two that follow: `&amp;lt;` becomes `<`
        ("&lt;", "<"),
        ("&gt;", ">"),
    ];
    let line = text.trim_end_matches(is_space).to_owned();
    let line = REPLACED.iter().fold(line, |line, (entity, sign)| line.replace(entity, sign));
    let mut spaced = String::from(" ");
    for c in line.chars() {
        match c {
            ' '..='&' | '('..='+' | '/' | ':'..='@' | '['..='`' | '{'..='~' => spaced.extend([' ', c, ' ']),
            _ => spaced.push(c),
        }
    }
    spaced.push(' ');
    // Points and commas stay only inside numbers, dashes everywhere but after digits. The order of the three counts.
    let is_stop = |c: char| matches!(c, '.' | ',');
    let spaced = space_pairs(&spaced, ["", " "], |first, second| !first.is_ascii_digit() && is_stop(second));
    let spaced = space_pairs(&spaced, [" ", ""], |first, second| is_stop(first) && !second.is_ascii_digit());
    let spaced = space_pairs(&spaced, ["", " "], |first, second| first.is_ascii_digit() && second == '-');
    words(&spaced)
}

/// `text` with a blank inside each pair of characters, `before` and `after` around it. Pairs are taken from left to
/// right and share no character, as matches of a regular expression.
fn space_pairs(text: &str, [before, after]: [&str; 2], is_pair: impl Fn(char, char) -> bool) -> String {
    let mut out = String::with_capacity(2 * text.len());
    let mut chars = text.chars().peekable();
    while let Some(first) = chars.next() {
        match chars.next_if(|second| is_pair(first, *second)) {
            Some(second) => out.extend(before.chars().chain([first, ' ', second]).chain(after.chars())),
            None => out.push(first),
        }
    }
    out
}

/// N-grams of `tokens`.
fn count(tokens: &[String], order: usize) -> u64 {
    (tokens.len() + 1).saturating_sub(order) as u64
}

/// How often each n-gram is in `tokens`.
fn n_grams(tokens: &[String], order: usize) -> HashMap<&[String], u64> {
    let mut counts = HashMap::new();
    for n_gram in tokens.windows(order) {
        *counts.entry(n_gram).or_default() += 1;
    }
    counts
}

/// N-grams of `prediction` that a reference has, each at most as often as the reference with most of them has it.
fn shared(prediction: &[String], references: &[impl AsRef<[String]>], order: usize) -> u64 {
    let references: Vec<_> = references.iter().map(|reference| n_grams(reference.as_ref(), order)).collect();
    let most = |n_gram| references.iter().filter_map(|counts| counts.get(n_gram)).max().copied().unwrap_or(0);
    n_grams(prediction, order).into_iter().map(|(n_gram, count)| count.min(most(n_gram))).sum()
}

/// Harmonic mean of the shares of common n-grams in `prediction` and in `reference`, 0 without common ones.
fn f_measure(prediction: &[String], reference: &[String], order: usize) -> f64 {
    let shared = shared(prediction, &[reference], order);
    if shared == 0 {
        return 0.0;
    }
    let precision = ratio(shared, count(prediction, order));
    let recall = ratio(shared, count(reference, order));
    2.0 * precision * recall / (precision + recall)
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts with bars between them.
    fn listed(texts: &str) -> Vec<String> {
        texts.split('|').map(str::to_owned).collect()
    }

    fn close(found: f64, expected: f64, case: &str) {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}: {case:?}");
    }

    /// Exact match and F1 as the official `evaluate-v1.1.py` of `SQuAD` printed them with Python 3.11.
    #[test]
    fn answers_score_as_in_squad() {
        let cases = [
            ("the Denver Broncos!", "Denver Broncos|The Broncos", 1.0, 1.0),
            ("in the year of 1066", "1066|the year 1066", 0.0, 0.666_666_666_7),
            ("a an the", "The", 1.0, 0.0),
            ("", "the", 1.0, 0.0),
            ("", "something", 0.0, 0.0),
            ("something", "|some thing", 0.0, 0.0),
            ("10,000", "10000|ten thousand", 1.0, 1.0),
            ("3.5-inch", "35inch disks", 0.0, 0.666_666_666_7),
            ("word word word", "word|word other word", 0.0, 0.666_666_666_7),
            ("Los Angeles, California", "los angeles|California Los Angeles", 0.0, 1.0),
            ("Ωmega ΟΔΟΣ", "ωmega οδος", 1.0, 1.0),
            ("É\u{3000}une\u{1c}fois", "é une fois|é une", 1.0, 1.0),
            ("the’s a—b", "s b|’s —b", 1.0, 1.0),
            ("théâtre a\u{301} an_a", "théâtre \u{301} ana", 1.0, 1.0),
        ];
        for (prediction, golds, exact, f1) in cases {
            close(squad_exact_match(prediction, &listed(golds)), exact, prediction);
            close(token_f1(prediction, &listed(golds)), f1, prediction);
        }
        close(squad_exact_match("", &[]) + token_f1("", &[]), 0.0, "without golds, where the script fails");
    }

    /// As `normalize_answer` of the same script printed them.
    #[test]
    fn answers_lose_articles_and_punctuation() {
        let cases = [
            ("The  Quick, brown-fox!", "quick brownfox"),
            ("an apple a day\tthe\nend", "apple day end"),
            ("theatre at a—the—an", "theatre at — —"),
            ("Anne's A+ can't", "annes cant"),
            ("ÀÉ the’s “A”", "àé ’s “ ”"),
        ];
        for (text, expected) in cases {
            assert_eq!(normalized_answer(text), expected);
        }
    }

    /// As `rouge_score` 0.1.2 with NLTK 3.10.4 printed them.
    #[test]
    fn pairs_of_words_score_as_in_rouge_score() {
        let cases = [
            ("the cat was found under the bed", "the cat was under the bed", 0.727_272_727_3),
            ("The Cats, running; jumped!", "the cat run jump", 1.0),
            ("police killed the gunman", "the gunman police killed", 0.666_666_666_7),
            ("no overlap here at all", "something different entirely now", 0.0),
            ("", "a reference", 0.0),
            ("a prediction", "", 0.0),
            ("word", "word", 0.0),
            ("one two one two one two", "one two one two", 0.75),
            ("nationalities were generously organized", "the nationality was generous organizations", 0.285_714_285_7),
            ("was his gas 5 \u{212a}M", "wa hi ga 5 km", 0.25),
            ("café naïve résumé", "caf naive r sum", 0.285_714_285_7),
            ("U.S.A. won 3-2 in 1998", "usa won 3 2 in 1998", 0.666_666_666_7),
            ("snake_case words stay", "snake case word stays", 1.0),
            ("THE END\nof\tthe story", "the end of the stories and the end of it", 0.615_384_615_4),
        ];
        for (prediction, reference, expected) in cases {
            close(rouge2(prediction, reference), expected, prediction);
        }
    }

    /// As `Tokenizer13a` of `sacrebleu` 2.6.0 printed them.
    #[test]
    fn tokens_are_those_of_mteval() {
        let cases = [
            ("1,000.50, costs $5!", "1,000.50 , costs $ 5 !"),
            ("U.S. and 3.14.", "U . S . and 3.14 ."),
            ("end.. .5 5. a,b 1,a", "end . . . 5 5 . a , b 1 , a"),
            ("2010-12 well-known 5-", "2010 - 12 well-known 5 -"),
            ("it's (a:b/c) [R&D] {e} `f`", "it's ( a : b / c ) [ R & D ] { e } ` f `"),
            ("&amp;lt; &quot;x&quot; <skipped>y", "< \" x \" y"),
            ("split-\nword\nnext-\n", "splitword next-"),
            ("٣.5 5.٣ é.é\u{3000}‘x’ —", "٣ . 5 5 . ٣ é . é ‘x’ —"),
        ];
        for (text, expected) in cases {
            assert_eq!(tokens_13a(text).join(" "), expected);
        }
    }

    /// As `corpus_bleu` of `sacrebleu` 2.6.0 printed them. A sentence is its prediction and its references; # ends it.
    #[test]
    fn corpora_score_as_in_sacrebleu() {
        let cases = [
            ("A quick brown fox jumps over lazy dogs.|A quick brown fox jumps over lazy dogs.", 100.0),
            ("A quick brown cat jumps over lazy dogs.|A quick brown fox jumps over lazy dogs.", 59.694_917_920_2),
            ("the the the the the the|the cat is on the mat|there is a cat on the mat", 9.652_434_877_4),
            ("It is a guide to action.|It is the guide to action that helps.|It is a good guide.", 42.728_700_639_6),
            ("|A quick brown fox jumps over lazy dogs.", 0.0),
            ("A quick brown fox jumps over lazy dogs.|", 0.0),
            ("dogs bark|dogs bark", 0.0),
            ("a b c d e|e d c b a", 15.973_577_606_2),
            ("one two three four six|one two three five six seven eight", 28.641_904_579_8),
            ("It cost $3.50, i.e. 1,000 a-10-20!|It cost $ 3.50 , i . e . 1,000 a-10 - 20 !", 100.0),
            ("He said: &quot;a &lt; b&quot; <skipped>(x).|He said: \"a < b\" ( x ) .", 100.0),
            ("Die Straße ist naß – überall … 。|Die Straße ist naß – überall nicht … 。", 67.529_182_181_3),
            ("Case Matters in this Metric|case matters in this metric", 21.364_350_319_8),
            ("The cat sat.|The cat sat up.|A cat#He left on May 1.|He left in May.|On May 1.#|Nil.|No", 35.403_677_261),
            ("yes|yes#no, not at all|no, never at all#I see|I do#we know that man|we know a man", 22.002_793_419_8),
            ("a b c d|a b c d e f|a b#x y|x y z", 100.0),
        ];
        for (corpus, expected) in cases {
            let mut statistics = BleuStatistics::default();
            for sentence in corpus.split('#').map(listed) {
                statistics.add(&BleuStatistics::of(&sentence[0], &sentence[1..]));
            }
            close(statistics.score(), expected, corpus);
        }
        let bare = BleuStatistics::of("a b", &[]);
        assert_eq!(bare, BleuStatistics { totals: [2, 1, 0, 0], prediction_length: 2, ..Default::default() });
    }
}
