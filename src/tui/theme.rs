//! Colours and marks: dark, light and mono, for terminals of 16 million, 256 or 16 colours.
//! Promises: the palette is Okabe and Ito's, safe for colour-blind eyes, and nothing is told by colour alone: every
//! state and every curve also has a mark of its own. Must not know: what is drawn with them.

use ratatui::style::{Color, Modifier, Style};

use crate::config::Theme;
use crate::core::RunStatus;

/// How many colours the terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// 24 bits.
    True,
    /// The xterm cube.
    Indexed,
    /// The eight of ANSI and their bright twins.
    Ansi,
    /// None.
    Mono,
}

/// What the environment says about colours: values of `NO_COLOR`, `CLICOLOR_FORCE`, `TERM` and `COLORTERM`.
#[must_use]
pub fn depth(no_color: Option<&str>, force: Option<&str>, term: Option<&str>, colorterm: Option<&str>) -> Depth {
    let forced = force.is_some_and(|value| !value.is_empty() && value != "0");
    let refused = no_color.is_some_and(|value| !value.is_empty());
    let term = term.unwrap_or("");
    if (refused && !forced) || term == "dumb" {
        Depth::Mono
    } else if colorterm.is_some_and(|value| value == "truecolor" || value == "24bit") {
        Depth::True
    } else if term.contains("256color") {
        Depth::Indexed
    } else {
        Depth::Ansi
    }
}

/// A colour in the three depths.
#[derive(Clone, Copy)]
struct Ink {
    rgb: (u8, u8, u8),
    indexed: u8,
    ansi: Color,
}

impl Ink {
    const fn new(rgb: (u8, u8, u8), indexed: u8, ansi: Color) -> Self {
        Self { rgb, indexed, ansi }
    }

    const fn at(self, depth: Depth) -> Color {
        match depth {
            Depth::True => Color::Rgb(self.rgb.0, self.rgb.1, self.rgb.2),
            Depth::Indexed => Color::Indexed(self.indexed),
            Depth::Ansi => self.ansi,
            Depth::Mono => Color::Reset,
        }
    }
}

const ORANGE: Ink = Ink::new((230, 159, 0), 214, Color::LightYellow);
const SKY: Ink = Ink::new((86, 180, 233), 74, Color::LightCyan);
const GREEN: Ink = Ink::new((0, 158, 115), 36, Color::Green);
const YELLOW: Ink = Ink::new((240, 228, 66), 227, Color::Yellow);
const BLUE: Ink = Ink::new((0, 114, 178), 25, Color::Blue);
const VERMILION: Ink = Ink::new((213, 94, 0), 166, Color::Red);
const PURPLE: Ink = Ink::new((204, 121, 167), 175, Color::Magenta);
const GREY: Ink = Ink::new((138, 138, 138), 245, Color::DarkGray);
const DARK_GREY: Ink = Ink::new((98, 98, 98), 241, Color::DarkGray);

/// Marks of curves, in the order of the colours.
pub const MARKS: [char; 8] = ['●', '▲', '■', '◆', '○', '△', '□', '◇'];

/// Styles by meaning.
#[derive(Clone, Debug)]
pub struct Palette {
    /// Plain text.
    pub text: Style,
    /// Headings of columns, hints, what does not matter now.
    pub dim: Style,
    /// Titles and the name of the program.
    pub title: Style,
    /// Frames.
    pub border: Style,
    /// The frame that has the focus.
    pub focus: Style,
    /// The row under the cursor.
    pub selected: Style,
    /// Keys.
    pub key: Style,
    /// Done.
    pub good: Style,
    /// Running, live.
    pub live: Style,
    /// Held, odd, worth a look.
    pub warn: Style,
    /// Failed, refused.
    pub bad: Style,
    series: Vec<Style>,
}

impl Palette {
    /// The styles of `theme` on a terminal of `depth`.
    #[must_use]
    pub fn new(theme: Theme, depth: Depth) -> Self {
        let depth = if theme == Theme::Mono { Depth::Mono } else { depth };
        let plain = Style::new();
        if depth == Depth::Mono {
            let bold = plain.add_modifier(Modifier::BOLD);
            return Self {
                text: plain,
                dim: plain,
                title: bold,
                border: plain,
                focus: bold,
                selected: plain.add_modifier(Modifier::REVERSED),
                key: bold,
                good: plain,
                live: bold,
                warn: bold,
                bad: bold.add_modifier(Modifier::UNDERLINED),
                series: vec![plain],
            };
        }
        let ink = |ink: Ink| plain.fg(ink.at(depth));
        let (warn, series) = match theme {
            Theme::Light => (VERMILION, [BLUE, VERMILION, GREEN, PURPLE, GREY, ORANGE, SKY]),
            Theme::Dark | Theme::Mono => (YELLOW, [SKY, ORANGE, GREEN, PURPLE, YELLOW, VERMILION, BLUE]),
        };
        let (accent, faint) = match theme {
            Theme::Light => (BLUE, DARK_GREY),
            Theme::Dark | Theme::Mono => (SKY, GREY),
        };
        Self {
            text: plain,
            dim: ink(faint),
            title: ink(accent).add_modifier(Modifier::BOLD),
            border: ink(faint),
            focus: ink(accent),
            selected: plain.add_modifier(Modifier::REVERSED),
            key: ink(accent).add_modifier(Modifier::BOLD),
            good: ink(GREEN),
            live: ink(accent),
            warn: ink(warn),
            bad: ink(VERMILION).add_modifier(Modifier::BOLD),
            series: series.map(ink).to_vec(),
        }
    }

    /// The style of the curve at `place`.
    #[must_use]
    pub fn series(&self, place: usize) -> Style {
        self.series.get(place % self.series.len().max(1)).copied().unwrap_or_default()
    }

    /// The style of a state.
    #[must_use]
    pub const fn status(&self, status: &RunStatus) -> Style {
        match status {
            RunStatus::Preparing | RunStatus::Waiting { .. } | RunStatus::Queued => self.text,
            RunStatus::Blocked { .. } => self.warn,
            RunStatus::Running { .. } => self.live,
            RunStatus::Paused | RunStatus::Stopped => self.warn,
            RunStatus::Finished => self.good,
            RunStatus::Diverged { .. } | RunStatus::Failed { .. } => self.bad,
        }
    }
}

/// The mark of the curve at `place`.
#[must_use]
pub fn mark(place: usize) -> char {
    MARKS.get(place % MARKS.len()).copied().unwrap_or('●')
}

/// The mark of a state; always shown with its word or under a heading that says it.
#[must_use]
pub const fn status_mark(status: &RunStatus) -> &'static str {
    match status {
        RunStatus::Preparing => "◌",
        RunStatus::Waiting { .. } => "↳",
        RunStatus::Blocked { .. } => "⊘",
        RunStatus::Queued => "○",
        RunStatus::Running { .. } => "●",
        RunStatus::Paused => "‖",
        RunStatus::Stopped => "■",
        RunStatus::Finished => "✓",
        RunStatus::Diverged { .. } => "↯",
        RunStatus::Failed { .. } => "✗",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides_the_depth() {
        assert_eq!(depth(Some("1"), None, Some("xterm-256color"), Some("truecolor")), Depth::Mono);
        assert_eq!(depth(Some(""), None, Some("xterm-256color"), None), Depth::Indexed);
        assert_eq!(depth(Some("1"), Some("1"), Some("xterm-256color"), None), Depth::Indexed);
        assert_eq!(depth(None, None, Some("dumb"), Some("truecolor")), Depth::Mono);
        assert_eq!(depth(None, None, Some("tmux-256color"), Some("truecolor")), Depth::True);
        assert_eq!(depth(None, None, Some("xterm"), None), Depth::Ansi);
    }

    #[test]
    fn mono_has_no_colour() {
        for theme in [Theme::Dark, Theme::Light, Theme::Mono] {
            let palette = Palette::new(theme, Depth::Mono);
            for style in [palette.bad, palette.good, palette.live, palette.warn, palette.key, palette.series(3)] {
                assert_eq!(style.fg, None);
            }
        }
        assert!(Palette::new(Theme::Dark, Depth::True).bad.fg.is_some());
    }
}
