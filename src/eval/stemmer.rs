//! The stem of an English word: Porter's algorithm (Porter 1980, "An algorithm for suffix stripping", Program 14.3) as
//! NLTK 3.10.4 has it in its mode `NLTK_EXTENSIONS`. Promises: NLTK's stem of every lower-case word, because published
//! scores rest on it. Must not know: scores, texts.

/// A suffix and what takes its place.
type Rule = (&'static str, &'static str);

/// Words that the steps would spoil, and their stems.
const IRREGULAR: [Rule; 16] = [
    ("sky", "sky"),
    ("skies", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("news", "news"),
    ("inning", "inning"),
    ("innings", "inning"),
    ("outing", "outing"),
    ("outings", "outing"),
    ("canning", "canning"),
    ("cannings", "canning"),
    ("howe", "howe"),
    ("proceed", "proceed"),
    ("exceed", "exceed"),
    ("succeed", "succeed"),
];

/// Double suffixes become single ones. A suffix stands before those that are its endings.
const DOUBLE_SUFFIXES: [Rule; 21] = [
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("fulli", "ful"),
    (LOGY, "log"),
];

/// "-logy" after its y became i.
const LOGY: &str = "logi";

/// Suffixes of adjectives and nouns.
const MIDDLE_SUFFIXES: [Rule; 7] =
    [("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")];

/// Suffixes that fall off a long stem. A suffix stands before those that are its endings.
const LAST_SUFFIXES: [&str; 19] = [
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", ION, "ou", "ism", "ate", "iti",
    "ous", "ive", "ize",
];

/// Falls off only after s or t.
const ION: &str = "ion";

/// The stem of `word`, which is in lower case. Words of at most two letters are their own stems.
pub(super) fn stem(word: &str) -> String {
    if let Some((_, stem)) = IRREGULAR.iter().find(|(form, _)| *form == word) {
        return (*stem).to_owned();
    }
    if word.chars().nth(2).is_none() {
        return word.to_owned();
    }
    [without_plural, without_past, with_final_i, single_suffix, without_middle, without_last, without_final_e, single_l]
        .iter()
        .fold(word.to_owned(), |word, step| step(&word))
}

/// Step 1a: plurals. Only short words keep an e: flies, but dies.
fn without_plural(word: &str) -> String {
    let ies = if word.chars().count() == 4 { "ie" } else { "i" };
    replaced(word, &[("sses", "ss"), ("ies", ies), ("ss", "ss"), ("s", "")], |_, _| true)
}

/// Step 1b: -ed and -ing.
fn without_past(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ied") {
        let ending = if stem.chars().count() == 1 { "ie" } else { "i" };
        return format!("{stem}{ending}");
    }
    if word.ends_with("eed") {
        return replaced(word, &[("eed", "ee")], |stem, _| measure(stem) > 0);
    }
    let bare = ["ed", "ing"].iter().find_map(|suffix| word.strip_suffix(suffix));
    match bare.filter(|stem| consonants(stem).contains(&false)) {
        Some(stem) => restored(stem),
        None => word.to_owned(),
    }
}

/// The second half of step 1b: the e that -ed or -ing swallowed, or the letter that it doubled.
fn restored(stem: &str) -> String {
    let swallowed = ["at", "bl", "iz"].iter().any(|ending| stem.ends_with(ending));
    let mut backwards = stem.chars().rev();
    let (last, before) = (backwards.next(), backwards.next());
    let doubled = last.filter(|_| last == before && consonants(stem).ends_with(&[true]));
    match doubled {
        _ if swallowed => format!("{stem}e"),
        Some('l' | 's' | 'z') => stem.to_owned(),
        Some(letter) => stem.strip_suffix(letter).unwrap_or(stem).to_owned(),
        None if measure(stem) == 1 && is_short(stem) => format!("{stem}e"),
        None => stem.to_owned(),
    }
}

/// Step 1c: y after a consonant that is not the first letter.
fn with_final_i(word: &str) -> String {
    replaced(word, &[("y", "i")], |stem, _| matches!(consonants(stem).as_slice(), [_, .., true]))
}

/// Step 2, with -ally first.
fn single_suffix(word: &str) -> String {
    let word = replaced(word, &[("alli", "al")], |stem, _| measure(stem) > 0);
    // The l counts as the stem's: "geology" is like "archaeology" then.
    let counts = |stem: &str, suffix: &str| measure(stem) > 0 || suffix == LOGY && measure(&format!("{stem}l")) > 0;
    replaced(&word, &DOUBLE_SUFFIXES, counts)
}

/// Step 3.
fn without_middle(word: &str) -> String {
    replaced(word, &MIDDLE_SUFFIXES, |stem, _| measure(stem) > 0)
}

/// Step 4.
fn without_last(word: &str) -> String {
    let falls = |stem: &str, suffix: &str| measure(stem) > 1 && (suffix != ION || stem.ends_with(['s', 't']));
    replaced(word, &LAST_SUFFIXES.map(|suffix| (suffix, "")), falls)
}

/// Step 5a.
fn without_final_e(word: &str) -> String {
    replaced(word, &[("e", "")], |stem, _| match measure(stem) {
        0 => false,
        1 => !is_short(stem),
        _ => true,
    })
}

/// Step 5b.
fn single_l(word: &str) -> String {
    replaced(word, &[("ll", "l")], |stem, _| measure(&format!("{stem}l")) > 1)
}

/// `word` by the first rule whose suffix it has, where `allows` holds of the rest and the suffix. No other
/// rule is tried.
fn replaced(word: &str, rules: &[Rule], allows: impl Fn(&str, &str) -> bool) -> String {
    let first = rules.iter().find_map(|(suffix, ending)| Some((word.strip_suffix(suffix)?, suffix, ending)));
    match first {
        Some((stem, suffix, ending)) if allows(stem, suffix) => format!("{stem}{ending}"),
        _ => word.to_owned(),
    }
}

/// Which letters are consonants: all but a, e, i, o, u, and y after a consonant.
fn consonants(word: &str) -> Vec<bool> {
    let mut before = false;
    let is_consonant = |letter| {
        before = match letter {
            'a' | 'e' | 'i' | 'o' | 'u' => false,
            'y' => !before,
            _ => true,
        };
        before
    };
    word.chars().map(is_consonant).collect()
}

/// Porter's m: how often a consonant follows a vowel.
fn measure(stem: &str) -> usize {
    consonants(stem).windows(2).filter(|pair| **pair == [false, true]).count()
}

/// Whether `stem` ends in consonant, vowel, consonant other than w, x, y, or is a vowel and a consonant.
fn is_short(stem: &str) -> bool {
    match consonants(stem).as_slice() {
        [false, true] => true,
        [.., true, false, true] => !stem.ends_with(['w', 'x', 'y']),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words and their stems as `PorterStemmer` of NLTK 3.10.4 printed them: every rule, applied and refused.
    const STEMS: &str = "\
        caresses:caress ponies:poni ties:tie caress:caress cats:cat gas:ga flies:fli dies:die skies:sky ass:ass \
        boss:boss agreed:agre feed:feed plastered:plaster bled:bled motoring:motor sing:sing string:string \
        conflated:conflat troubled:troubl sized:size hopping:hop tanned:tan falling:fall hissing:hiss fizzed:fizz \
        failing:fail filing:file spied:spi died:die tried:tri egged:eg inning:inning innings:inning outings:outing \
        cannings:canning owed:owe using:use going:go happy:happi sky:sky spy:spi enjoy:enjoy enjoyment:enjoy fly:fli \
        say:say by:by why:whi yyyy:yyyi dying:die lying:lie tying:tie news:news howe:howe proceed:proceed \
        exceed:exceed succeed:succeed succeeded:succeed relational:relat conditional:condit rational:ration \
        nationally:nation rationally:ration valency:valenc hesitancy:hesit digitizer:digit conformably:conform \
        possibly:possibl radically:radic differently:differ vilely:vile analogously:analog organization:organ \
        predication:predic operator:oper feudalism:feudal decisiveness:decis hopefulness:hope callousness:callous \
        formality:formal sensitivity:sensit sensibility:sensibl hopefully:hope awfully:aw geology:geolog \
        archaeology:archaeolog theologies:theolog logy:logi triplicate:triplic formative:form formalize:formal \
        electricity:electr electrical:electr hopeful:hope goodness:good native:nativ revival:reviv allowance:allow \
        inference:infer airliner:airlin gyroscopic:gyroscop adjustable:adjust defensible:defens irritant:irrit \
        replacement:replac adjustment:adjust dependent:depend adoption:adopt homologous:homolog communism:commun \
        activate:activ angularity:angular effective:effect bowdlerize:bowdler opinion:opinion million:million \
        cement:cement element:element union:union station:station probate:probat rate:rate cease:ceas hope:hope \
        the:the bee:bee controlling:control rolled:roll roll:roll installed:instal bill:bill skills:skill \
        generously:gener organizations:organ university:univers knowledge:knowledg computers:comput running:run \
        maximum:maximum 1990s:1990 2nd:2nd ab12ed:ab12 a11ing:a1 tokenized:token naïvely:naïv syzygy:syzygi toy:toy \
        crying:cri outing:outing canning:canning bys:by boxed:box showed:show played:play activated:activ \
        adjustabled:adjust formally:formal extension:extens international:intern nationalism:nation \
        nationality:nation nationalize:nation talkativeness:talk certificate:certif";

    #[test]
    fn stems_are_those_of_nltk() {
        for pair in STEMS.split(' ') {
            let (word, expected) = pair.split_once(':').unwrap();
            assert_eq!(stem(word), expected, "{word}");
        }
    }
}
