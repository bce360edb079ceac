//! The colours of coverage: a ramp of 101 from red over yellow to green, and where a figure stands on it.

/// The range of a repository that says nothing: at or below its start all is red, from its end all green.
pub const DEFAULT_RANGE: Range = Range {
    low: 70.0,
    high: 100.0,
};

/// The colours that the ramp leads through.
const CORNERS: [[u8; 3]; 6] = [
    [0xe0, 0x5d, 0x44],
    [0xfe, 0x7d, 0x37],
    [0xdf, 0xb3, 0x17],
    [0xa4, 0xa6, 0x1d],
    [0x97, 0xca, 0x00],
    [0x44, 0xcc, 0x11],
];
/// Colours from one corner to the next, both of them among these; the last way has one more.
const WAY_COLOURS: usize = 20;
/// The place of the last colour of the ramp.
const LAST: usize = 100;

/// Percentages between which the colour changes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Range {
    /// At or below: the first colour.
    pub low: f64,
    /// At or above: the last.
    pub high: f64,
}

/// The colour of a percentage, `#` and hex digits.
pub fn of_percent(percent: f64, range: Range) -> String {
    let Range { low, high } = range;
    let place = match percent {
        _ if percent.trunc() == 100.0 => LAST,
        _ if percent <= low => 0,
        _ if percent >= high => LAST,
        _ => (100.0 * (percent - low) / (high - low)) as usize,
    };
    at(place.min(LAST))
}

/// The colour at a place of the ramp, 0 to 100.
fn at(place: usize) -> String {
    let way = (place / WAY_COLOURS).min(CORNERS.len() - 2);
    let steps = match way + 2 == CORNERS.len() {
        true => WAY_COLOURS,
        false => WAY_COLOURS - 1,
    };
    let part = (place - way * WAY_COLOURS) as f64 / steps as f64;
    let (from, to) = (hsl(CORNERS[way]), hsl(CORNERS[way + 1]));
    let between = std::array::from_fn(|axis| from[axis] + (to[axis] - from[axis]) * part);
    hex(rgb(between))
}

/// Hue, saturation and lightness, each 0..=1, of a colour that is not grey.
fn hsl(colour: [u8; 3]) -> [f64; 3] {
    let [red, green, blue] = colour.map(|channel| f64::from(channel) / 255.0);
    let (most, least) = (red.max(green).max(blue), red.min(green).min(blue));
    let (spread, sum) = (most - least, most + least);
    let hue = if most == red {
        (green - blue) / spread
    } else if most == green {
        2.0 + (blue - red) / spread
    } else {
        4.0 + (red - green) / spread
    };
    let saturation = match sum < 1.0 {
        true => spread / sum,
        false => spread / (2.0 - sum),
    };
    [(hue / 6.0).rem_euclid(1.0), saturation, sum / 2.0]
}

fn rgb([hue, saturation, lightness]: [f64; 3]) -> [u8; 3] {
    let high = match lightness < 0.5 {
        true => lightness * (1.0 + saturation),
        false => lightness + saturation - lightness * saturation,
    };
    let low = 2.0 * lightness - high;
    let channel = |turn: f64| {
        let turn = turn.rem_euclid(1.0);
        let light = if turn < 1.0 / 6.0 {
            low + (high - low) * 6.0 * turn
        } else if turn < 0.5 {
            high
        } else if turn < 2.0 / 3.0 {
            low + (high - low) * 6.0 * (2.0 / 3.0 - turn)
        } else {
            low
        };
        (light * 255.0).round() as u8
    };
    [
        channel(hue + 1.0 / 3.0),
        channel(hue),
        channel(hue - 1.0 / 3.0),
    ]
}

/// The shortest form: `#44cc11` is `#4c1`.
fn hex(colour: [u8; 3]) -> String {
    let [red, green, blue] = colour;
    match colour.iter().all(|channel| channel % 0x11 == 0) {
        true => format!("#{:x}{:x}{:x}", red / 0x11, green / 0x11, blue / 0x11),
        false => format!("#{red:02x}{green:02x}{blue:02x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What badges of other servers show, by place.
    const RAMP: &str = "\
        #e05d44 #e25e43 #e35f42 #e56142 #e76241 #e86440 #ea653f #ec673f #ed683e #ef6a3d #f06c3d #f26d3c \
        #f36f3b #f5713b #f7733a #f87539 #fa7739 #fb7938 #fd7b38 #fe7d37 #fe7d37 #fd8035 #fc8232 #fb8530 \
        #fa882e #f98b2c #f88e29 #f79127 #f59425 #f49723 #f39a21 #f29d1f #f0a01d #efa41b #eea719 #ecaa17 \
        #ebad15 #e7b015 #e3b116 #dfb317 #dfb317 #dcb317 #d9b318 #d6b318 #d3b319 #cfb319 #ccb21a #c9b21a \
        #c6b11a #c3b11b #c0b01b #bdb01b #baaf1b #b7ae1c #b4ad1c #b2ac1c #afab1c #acaa1d #a9a91d #a4a61d \
        #a4a61d #a4a81c #a4aa1a #a4ac19 #a4ad17 #a3af16 #a3b114 #a3b313 #a2b511 #a2b710 #a1b90e #a0bb0c \
        #9fbc0b #9ebe09 #9dc008 #9cc206 #9bc405 #9ac603 #98c802 #97ca00 #97ca00 #93ca01 #8eca02 #8aca02 \
        #85cb03 #81cb04 #7dcb05 #78cb06 #74cb06 #70cb07 #6ccb08 #68cb09 #63cc0a #5fcc0b #5bcc0c #57cc0c \
        #53cc0d #4fcc0e #4ccc0f #48cc10 #4c1";

    #[test]
    fn ramp_is_the_one_that_readers_know() {
        let known: Vec<&str> = RAMP.split_whitespace().collect();
        assert_eq!(known.len(), LAST + 1);
        for (place, colour) in known.into_iter().enumerate() {
            assert_eq!(at(place), colour, "place {place}");
        }
    }

    #[test]
    fn figures_stand_on_the_ramp_within_their_range() {
        let colour = |percent, low, high| of_percent(percent, Range { low, high });
        assert_eq!(colour(85.0, 70.0, 100.0), "#c0b01b");
        assert_eq!(colour(95.0, 70.0, 100.0), "#8aca02");
        assert_eq!(colour(100.0, 70.0, 100.0), "#4c1");
        assert_eq!(colour(85.0, 0.0, 0.8), "#4c1");
        assert_eq!(colour(70.0, 70.0, 100.0), "#e05d44");
        assert_eq!(colour(0.0, 70.0, 100.0), "#e05d44");
        assert_eq!(colour(100.0, 100.0, 100.0), "#4c1");
        assert_eq!(colour(80.0, 80.0, 80.0), "#e05d44");
        assert_eq!(colour(81.0, 80.0, 80.0), "#4c1");
        assert_eq!(colour(50.0, 90.0, 10.0), "#e05d44");
    }
}
