//! Draws figures as SVG and PNG. No other module uses the plotting library.

use kuva::backend::svg::SvgBackend;
use kuva::plot::{BarPlot, ColorMap, Heatmap, LegendPosition, LinePlot};
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot;
use kuva::render::render::{Scene, render_multiple};
use kuva::{PngBackend, Theme};

use super::figures::{Bar, Content, Figure, Line};
use super::record::ReportError;

/// Width of a drawing in the page: that of a phone, so that its text is readable there; larger screens scale it up.
const WIDTH: f64 = 372.0;
const HEIGHT: f64 = 236.0;
const FILE_WIDTH: f64 = 560.0;
/// Pixels of a PNG per unit of the drawing.
const PNG_SCALE: f32 = 3.0;

/// Most rows of a heat map that can show their names.
const NAMED_ROWS: usize = 32;

/// Colours of lines and bars that colour-blind readers can distinguish (Okabe and Ito, darkened for thin lines on
/// white).
pub(super) const PALETTE: [&str; 6] = ["#0a6cb0", "#c8501e", "#0b8a63", "#a9528a", "#8a6d00", "#4a4e57"];
const INK: &str = "#30343c";
const FAINT: &str = "#e1e3e8";
const AXIS: &str = "#8b909a";
const PAPER: &str = "#ffffff";

/// Colours of a drawing and the CSS variables of the page that replace them, for light and dark mode.
const VARIABLES: [(&str, &str); 9] = [
    (PALETTE[0], "var(--line-1)"),
    (PALETTE[1], "var(--line-2)"),
    (PALETTE[2], "var(--line-3)"),
    (PALETTE[3], "var(--line-4)"),
    (PALETTE[4], "var(--line-5)"),
    (PALETTE[5], "var(--line-6)"),
    (INK, "var(--ink)"),
    (FAINT, "var(--faint)"),
    (AXIS, "var(--axis)"),
];

fn colour(number: usize) -> &'static str {
    PALETTE[number % PALETTE.len()]
}

pub(super) fn inline_svg(figure: &Figure) -> String {
    let mut svg = rendered(figure, false);
    for (colour, variable) in VARIABLES {
        svg = svg.replace(colour, variable);
    }
    // The XML declaration must not appear inside a page.
    let start = svg.find("<svg").unwrap_or(0);
    scalable(&svg[start..])
}

/// The figure as SVG with its own element ids. The library numbers them across the whole process, so two reports of the
/// same run would differ.
fn rendered(figure: &Figure, is_file: bool) -> String {
    const NAME: &str = "kuva-clip-";
    let svg = SvgBackend::new().render_scene(&scene(figure, is_file));
    let mut parts = svg.split(NAME);
    let mut named = parts.next().unwrap_or_default().to_owned();
    let mut numbers: Vec<&str> = Vec::new();
    for part in parts {
        let digits = part.find(|character: char| !character.is_ascii_digit()).unwrap_or(part.len());
        let (number, rest) = part.split_at(digits);
        let place = numbers.iter().position(|known| *known == number).unwrap_or_else(|| {
            numbers.push(number);
            numbers.len() - 1
        });
        named += &format!("{}-clip-{}{rest}", figure.id, place + 1);
    }
    named
}

/// The drawing with a view box instead of a size in pixels, so that the page can set its width.
fn scalable(svg: &str) -> String {
    let size = |name: &str| -> Option<&str> {
        let start = svg.find(&format!("{name}=\""))? + name.len() + 2;
        svg[start..].split('"').next()
    };
    let (Some(width), Some(height)) = (size(" width"), size(" height")) else { return svg.to_owned() };
    let sized = format!(" width=\"{width}\" height=\"{height}\"");
    svg.replacen(&sized, &format!(" viewBox=\"0 0 {width} {height}\""), 1)
}

pub(super) fn svg(figure: &Figure) -> String {
    rendered(figure, true)
}

pub(super) fn png(figure: &Figure) -> Result<Vec<u8>, ReportError> {
    PngBackend::new()
        .with_scale(PNG_SCALE)
        .render_scene(&scene(figure, true))
        .map_err(|problem| ReportError::Paint { figure: figure.id.clone(), problem })
}

/// A text that the library takes literally: between dollar signs it would read a formula.
fn plain(text: &str) -> String {
    text.replace('$', "\\$")
}

fn scene(figure: &Figure, is_file: bool) -> Scene {
    let plots = match &figure.content {
        Content::Lines(lines) => lines.iter().map(|line| line_plot(line, is_file)).collect(),
        Content::Bars(bars) => vec![bar_plot(bars)],
        Content::Heat { steps, rows, .. } => vec![heat_plot(*steps, rows)],
    };
    let height = match &figure.content {
        Content::Bars(bars) => 90.0 + 22.0 * bars.len() as f64,
        Content::Heat { rows, .. } => HEIGHT.max(90.0 + 9.0 * rows.len() as f64),
        Content::Lines(_) => HEIGHT,
    };
    let mut layout = Layout::auto_from_plots(&plots)
        .with_width(if is_file { FILE_WIDTH } else { WIDTH })
        .with_height(height)
        .with_theme(theme(is_file))
        .with_font_family("system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif")
        .with_tick_size(11)
        .with_label_size(12)
        .with_body_size(11)
        .with_grid_line_width(0.8)
        .with_axis_line_width(1.0)
        .with_tick_format(TickFormat::Custom(std::sync::Arc::new(short)));
    layout = match &figure.content {
        Content::Bars(_) => layout.with_x_label(plain(&figure.x_label)),
        _ => layout.with_x_label(plain(&figure.x_label)).with_y_label(plain(&figure.y_label)),
    };
    // The library would extend each axis to a round number.
    layout = layout.with_clamp_axis();
    layout = match &figure.content {
        Content::Lines(lines) => {
            let ((left, right), (low, high)) = (reach(lines), extent(lines));
            layout = layout.with_x_axis_min(left).with_x_axis_max(right);
            layout.with_y_axis_min(low).with_y_axis_max(high)
        }
        Content::Heat { steps: (first, last), rows, .. } => {
            layout = layout.with_x_axis_min(first - 0.5).with_x_axis_max(last + 0.5);
            layout.with_y_axis_min(0.5).with_y_axis_max(rows.len() as f64 + 0.5)
        }
        Content::Bars(_) => layout,
    };
    if is_file {
        layout = layout.with_legend_box(false).with_legend_position(LegendPosition::OutsideRightTop);
    }
    if let Content::Heat { names, .. } = &figure.content
        && names.len() <= NAMED_ROWS
    {
        layout = layout.with_y_categories(names.clone());
    }
    if is_file {
        layout = layout.with_title(plain(&figure.title)).with_title_size(14);
    }
    render_multiple(plots, layout)
}

fn theme(is_file: bool) -> Theme {
    Theme {
        background: if is_file { PAPER } else { "none" }.to_owned(),
        axis_color: AXIS.to_owned(),
        grid_color: FAINT.to_owned(),
        tick_color: AXIS.to_owned(),
        text_color: INK.to_owned(),
        legend_bg: "none".to_owned(),
        legend_border: "none".to_owned(),
        colorbar_border: AXIS.to_owned(),
        ..Theme::light()
    }
}

/// The range of the horizontal axis; never empty.
fn reach(lines: &[Line]) -> (f64, f64) {
    let places = lines.iter().flat_map(|line| line.points.iter().map(|point| point.0));
    let (left, right) = places
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(left, right), place| (left.min(place), right.max(place)));
    if right > left { (left, right) } else { (left - 1.0, left + 1.0) }
}

/// The range of the vertical axis, with a margin: from 0 if the data is near 0; never empty.
fn extent(lines: &[Line]) -> (f64, f64) {
    let points = lines.iter().flat_map(|line| line.points.iter().map(|point| point.1));
    let bands = lines.iter().flat_map(|line| line.band.iter().flat_map(|(low, high)| [*low, *high]));
    let (low, high) = points
        .chain(bands)
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let low = if low > 0.0 && low < 0.6 * high { 0.0 } else { low };
    let room = 0.05 * (high - low);
    if room > 0.0 && room.is_finite() {
        return (if low == 0.0 { 0.0 } else { low - room }, high + room);
    }
    if high == 0.0 { (0.0, 1.0) } else { (high - 0.5 * high.abs(), high + 0.5 * high.abs()) }
}

pub(super) fn short(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    let (value, unit) = match size {
        1e15.. | ..1e-3 => return format!("{value:.1e}"),
        1e12.. => (value / 1e12, "T"),
        1e9.. => (value / 1e9, "G"),
        1e6.. => (value / 1e6, "M"),
        1e4.. => (value / 1e3, "k"),
        _ => (value, ""),
    };
    // Three significant digits; three decimals near 1.
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        0.1.. => 3,
        0.01.. => 4,
        _ => 5,
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// The page draws its own legend with wrapping text; a file has the library's.
fn line_plot(line: &Line, is_file: bool) -> Plot {
    let mut plot = LinePlot::new()
        .with_data(line.points.iter().copied())
        .with_color(colour(line.colour))
        .with_stroke_width(1.8);
    if !line.band.is_empty() && line.points.len() > 1 {
        let (low, high): (Vec<f64>, Vec<f64>) = line.band.iter().copied().unzip();
        plot = plot.with_band(low, high);
    }
    if line.is_dashed {
        plot = plot.with_dashed();
    }
    if is_file && !line.name.is_empty() {
        plot = plot.with_legend(plain(&line.name));
    }
    plot.into()
}

fn bar_plot(bars: &[Bar]) -> Plot {
    let bars = bars.iter().rev().map(|bar| (plain(&bar.name), bar.value, colour(bar.colour).to_owned()));
    BarPlot::new().with_horizontal(true).with_colored_bars(bars).into()
}

fn heat_plot((first, last): (f64, f64), rows: &[Vec<f64>]) -> Plot {
    Heatmap::new()
        .with_data(rows.iter().map(|row| row.iter().copied()))
        .with_x_range(first - 0.5, last + 0.5)
        .with_color_map(ColorMap::Viridis)
        .with_cell_size(1.0)
        .with_legend("load")
        .into()
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn numbers_are_as_short_as_an_axis_wants_them() {
        let cases = [
            (0.0, "0"),
            (0.1 + 0.2, "0.3"),
            (-0.25, "-0.25"),
            (0.0022, "0.0022"),
            (2.2e-4, "2.2e-4"),
            (23.309, "23.3"),
            (197.4, "197"),
            (1000.0, "1000"),
            (12_500.0, "12.5k"),
            (1.15e12, "1.15T"),
            (1e300, "1.0e300"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
    }
}
