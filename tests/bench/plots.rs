//! The figures as pictures: one line for each of what is compared, by the number of keys.

use super::figures::median_and_worst;
use super::report::Run;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// Size of a picture.
const SIZE: (u32, u32) = (640, 360);
/// Colours that differ in lightness, too.
const COLOURS: [RGBColor; 3] = [RGBColor(150, 150, 150), RGBColor(214, 126, 44), RGBColor(31, 73, 125)];

type Failed = Box<dyn std::error::Error>;
type Value = fn(&Run) -> f64;

/// A picture: its file, its title with the unit, and its lines.
struct Plot {
    file: &'static str,
    title: &'static str,
    lines: &'static [(&'static str, Value)],
}

const PLOTS: &[Plot] = &[
    Plot {
        file: "bench-ready.svg",
        title: "Seconds until all keys are Ready",
        lines: &[
            ("floor", |it| f64::midpoint(it.floor_before, it.floor_after)),
            ("floor with dry runs", |it| f64::midpoint(it.rehearsed_before, it.rehearsed_after)),
            ("Keysmith", |it| it.ready),
        ],
    },
    Plot {
        file: "bench-memory.svg",
        title: "Resident memory, MB",
        lines: &[
            ("after a restart", |it| it.restart_resident_mb),
            ("after the keys were made", |it| it.resident_mb),
            ("at the peak", |it| it.peak_mb),
        ],
    },
    Plot {
        file: "bench-cpu.svg",
        title: "CPU time per key, ms",
        lines: &[("floor", |it| it.floor_cpu_per_key_ms), ("Keysmith", |it| it.cpu_per_key_ms)],
    },
];

/// Draws every picture into a folder. Fewer than two sizes make no line.
pub fn draw(runs: &BTreeMap<usize, &[Run]>, folder: &Path) -> Result<(), Failed> {
    if runs.len() < 2 {
        return Ok(());
    }
    PLOTS.iter().try_for_each(|plot| plot.draw(runs, folder))
}

impl Plot {
    fn draw(&self, runs: &BTreeMap<usize, &[Run]>, folder: &Path) -> Result<(), Failed> {
        let file = folder.join(self.file);
        let area = SVGBackend::new(&file, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        self.draw_in(runs, &area)?;
        area.present()?;
        Ok(())
    }

    fn draw_in(
        &self,
        runs: &BTreeMap<usize, &[Run]>,
        area: &DrawingArea<SVGBackend<'_>, Shift>,
    ) -> Result<(), Failed> {
        let lines: Vec<_> = self.lines.iter().map(|(name, value)| (*name, points(runs, *value))).collect();
        let highest = lines.iter().flat_map(|(_, points)| points).map(|it| it.1).fold(0.0, f64::max);
        let most = runs.keys().last().copied().unwrap_or_default() as f64;
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(52)
            .build_cartesian_2d(0.0..most * 1.02, 0.0..highest * 1.1)?;
        chart.configure_mesh().x_desc("keys").light_line_style(WHITE).draw()?;
        for ((name, points), colour) in lines.into_iter().zip(COLOURS) {
            let dots: Vec<_> = points.iter().map(|it| Circle::new(*it, 3, colour.filled())).collect();
            chart
                .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
            chart.draw_series(dots)?;
        }
        let position = SeriesLabelPosition::UpperLeft;
        chart.configure_series_labels().position(position).background_style(WHITE).draw()?;
        Ok(())
    }
}

/// The median of each number of keys.
fn points(runs: &BTreeMap<usize, &[Run]>, value: Value) -> Vec<(f64, f64)> {
    let median = |runs: &[Run]| median_and_worst(&runs.iter().map(value).collect::<Vec<_>>()).0;
    runs.iter().map(|(size, runs)| (*size as f64, median(runs))).collect()
}
